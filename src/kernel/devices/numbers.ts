import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { attempt, collect } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import type { Struct } from '../types/struct.js';

/** Drivers that share a slot of the tables. */
const LONGEST_CHAIN = 4096;

/** A range of character device numbers: `struct char_device_struct`, fs/char_dev.c. */
export interface CharacterDevice {
  readonly major: number;
  readonly firstMinor: number;
  readonly minors: number;
  readonly name: string;
  /** 0n: none was registered with the range. */
  readonly cdev: VirtualAddress;
  /** `file_operations`; undefined without a cdev. */
  readonly operations: VirtualAddress | undefined;
}

/** What /proc/devices lists first: `chrdevs`, by number. Throws EXH_NO_SYMBOL, EXH_NO_LAYOUT; broken chains are damage. */
export function readCharacterDevices(view: KernelView, damage: Damage[]): CharacterDevice[] {
  const part = 'character devices';
  const registered = attempt(damage, part, () => registeredCdevs(view, damage));
  const devices = chains(view, 'chrdevs', 'char_device_struct', part, damage).flatMap((one) => {
    const device = attempt(damage, part, (): CharacterDevice => {
      const major = one.int('major');
      const firstMinor = one.int('baseminor');
      const own = one.follow('cdev');
      const cdev = own ?? registered?.get(deviceNumber(major, firstMinor));
      return {
        major,
        firstMinor,
        minors: one.int('minorct'),
        name: one.string('name'),
        cdev: cdev?.address ?? virtualAddress(0n),
        operations: cdev && attempt(damage, part, () => cdev.pointer('ops')),
      };
    });
    return device === undefined ? [] : [device];
  });
  return devices.sort((a, b) => a.major - b.major || a.firstMinor - b.firstMinor);
}

/** `MKDEV`: 12 bits of major number above 20 of minor, include/linux/kdev_t.h. */
function deviceNumber(major: number, minor: number): number {
  return major * 2 ** 20 + minor;
}

/** The cdevs that were added on their own, by the first device number of each: `cdev_map`, drivers/base/map.c. */
function registeredCdevs(view: KernelView, damage: Damage[]): Map<number, Struct> {
  const cdevs = new Map<number, Struct>();
  const map = view.memory.pointer(view.address('cdev_map'));
  const probes = view.types.requireStruct('kobj_map').require('probes');
  const slots = Math.floor(probes.size / 8);
  const table = map + BigInt(probes.offset);
  for (const probe of chainsAt(view, table, slots, 'probe', 'character devices', damage)) {
    attempt(damage, 'character devices', () => {
      const data = probe.pointer('data');
      if (data !== 0n) cdevs.set(probe.int('dev'), view.struct('cdev', data));
    });
  }
  return cdevs;
}

/** A major number of block devices: `struct blk_major_name`, block/genhd.c. */
export interface BlockMajor {
  readonly major: number;
  readonly name: string;
}

/** What /proc/devices lists last: `major_names`, by number. Throws and tells as `readCharacterDevices` does. */
export function readBlockMajors(view: KernelView, damage: Damage[]): BlockMajor[] {
  const part = 'block devices';
  const majors = chains(view, 'major_names', 'blk_major_name', part, damage).flatMap((one) => {
    const major = attempt(damage, part, () => ({ major: one.int('major'), name: one.string('name') }));
    return major === undefined ? [] : [major];
  });
  return majors.sort((a, b) => a.major - b.major);
}

/** The structures in a hash table of 255 chains (CHRDEV_MAJOR_HASH_SIZE, BLKDEV_MAJOR_HASH_SIZE). */
function chains(view: KernelView, symbol: string, type: string, part: string, damage: Damage[]): Struct[] {
  return chainsAt(view, view.address(symbol), 255, type, part, damage);
}

function chainsAt(
  view: KernelView,
  table: bigint,
  slots: number,
  type: string,
  part: string,
  damage: Damage[],
): Struct[] {
  const all: Struct[] = [];
  for (let slot = 0; slot < slots; slot++) {
    const first = attempt(damage, part, () => view.memory.pointer(table + BigInt(slot * 8))) ?? 0n;
    if (first !== 0n) all.push(...collect(damage, part, chain(view.struct(type, first)), LONGEST_CHAIN));
  }
  return all;
}

function* chain(first: Struct): Generator<Struct> {
  for (let one: Struct | undefined = first; one !== undefined; one = one.follow('next')) yield one;
}
