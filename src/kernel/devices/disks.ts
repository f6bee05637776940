import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { attempt, collectEach } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import { listNodes } from '../types/lists.js';
import { containerOf, type Struct } from '../types/struct.js';

/** More block devices than a machine has. */
const MOST_DEVICES = 1 << 20;

/** A disk: `struct gendisk`, include/linux/blkdev.h. */
export interface Disk {
  readonly address: VirtualAddress;
  readonly major: number;
  readonly firstMinor: number;
  readonly name: string;
  readonly operations: VirtualAddress;
  readonly queue: VirtualAddress;
  /** What was completed since it came; undefined where it cannot be read. */
  readonly done: DiskCounts | undefined;
}

/** Requests and sectors of 512 bytes. */
export interface DiskCounts {
  readonly reads: number;
  readonly readSectors: number;
  readonly writes: number;
  readonly writtenSectors: number;
}

/** The disks among the devices of `block_class`. Throws EXH_NO_SYMBOL, EXH_NO_LAYOUT; what is broken is damage. */
export function readDisks(view: KernelView, damage: Damage[]): Disk[] {
  const part = 'disks';
  const head = blockDevices(view);
  if (head === undefined) return [];
  const type = view.types.requireStruct('device_private');
  const nodes = listNodes(view.memory, head);
  return collectEach(
    damage,
    part,
    nodes,
    (node) => {
      const device = containerOf(view.memory, type, 'knode_class.n_node', node).pointer('device');
      const disk = diskOf(view, device);
      return disk === undefined ? undefined : readDisk(view, disk, part, damage);
    },
    MOST_DEVICES,
  ).sort((a, b) => a.major - b.major || a.firstMinor - b.firstMinor);
}

/** The list of devices of `block_class`: of the `subsys_private` that names it, which classes point to no more since 6.4. */
function blockDevices(view: KernelView): VirtualAddress | undefined {
  const wanted = view.address('block_class');
  const set = view.memory.pointer(view.address('class_kset'));
  const type = view.types.requireStruct('subsys_private');
  const head = view.struct('kset', set).addressOf('list');
  for (const node of listNodes(view.memory, head)) {
    const subsystem = containerOf(view.memory, type, 'subsys.kobj.entry', node);
    if (subsystem.pointer('class') === wanted) return subsystem.addressOf('klist_devices.k_list');
  }
  return undefined;
}

/** The disk that a device of the class is; undefined for a partition. */
function diskOf(view: KernelView, device: VirtualAddress): Struct | undefined {
  const { memory, types } = view;
  const block = types.requireStruct('block_device');
  if (block.field('bd_device') !== undefined) {
    const part = containerOf(memory, block, 'bd_device', device);
    const disk = part.follow('bd_disk');
    return disk?.pointer('part0') === part.address ? disk : undefined;
  }
  // Up to 5.10 a partition is a struct hd_struct, and the first one lies in the disk.
  const type = view.struct('device', device).pointer('type');
  if (type !== view.address('disk_type')) return undefined;
  const within = types.requireStruct('gendisk').require('part0.__dev').offset;
  return view.struct('gendisk', device - BigInt(within));
}

function readDisk(view: KernelView, disk: Struct, part: string, damage: Damage[]): Disk {
  return {
    address: disk.address,
    major: disk.int('major'),
    firstMinor: disk.int('first_minor'),
    name: disk.string('disk_name'),
    operations: disk.pointer('fops'),
    queue: disk.pointer('queue'),
    done: attempt(damage, part, () => readCounts(view, disk)),
  };
}

/** STAT_READ and STAT_WRITE of `struct disk_stats`, include/linux/part_stat.h, summed over the CPUs. */
function readCounts(view: KernelView, disk: Struct): DiskCounts {
  const embedded = disk.has('part0.dkstats');
  const base = disk.pointer(embedded ? 'part0.dkstats' : 'part0->bd_stats');
  const sum = { reads: 0, readSectors: 0, writes: 0, writtenSectors: 0 };
  for (const cpu of view.cpus('possible')) {
    const stats = view.struct('disk_stats', virtualAddress(view.perCpu(base, cpu)));
    const word = (field: string, index: number): number =>
      Number(view.memory.u64(stats.addressOf(field) + BigInt(index * 8)));
    sum.reads += word('ios', 0);
    sum.writes += word('ios', 1);
    sum.readSectors += word('sectors', 0);
    sum.writtenSectors += word('sectors', 1);
  }
  return sum;
}
