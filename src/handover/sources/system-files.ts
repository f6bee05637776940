import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { MemoryArea } from '../model.js';
import { textOf } from '../source-reader.js';
import { areaOf, readKhoData, SETUP_KHO } from './kho-data.js';
import { MOST_SCRATCH } from './scratch.js';
import type { SilentPlace, Told } from './told.js';

/** Files of a running system, or copies of some of them. Paths have no `/` at their beginning. */
export interface SystemFiles {
  /** What the paths are below. */
  readonly name: string;
  /** It is the root of a running system; else any part of it may be there, copied from as far down as somebody liked. */
  readonly live: boolean;
  /** Names in a folder, in order; undefined where there is none. Throws EXH_IO when it is refused. */
  list(folder: string): readonly string[] | undefined;
  /** Undefined where there is no such file. Throws EXH_IO when it is refused. */
  read(path: string): Uint8Array | undefined;
}

/** What files tell, and which of them tell nothing. */
export interface ToldByFiles {
  readonly told: readonly Told[];
  readonly silent: readonly SilentPlace[];
}

const DEBUGFS = 'sys/kernel/debug';
/** include/linux/debugfs.h of KHO: `in` and `out`, with `fdt`, `sub_fdts/*`, `scratch_phys`, `scratch_len`. */
const KHO_DEBUGFS = `${DEBUGFS}/kho`;
/** arch/x86/kernel/ksysfs.c: `<n>/type`, `<n>/data`. */
const SETUP_DATA = 'sys/kernel/boot_params/setup_data';
/** Series of 2023/24. */
const KHO_2023 = 'sys/kernel/kho';
const KHO_2023_IN = 'sys/firmware/kho';
/** drivers/of/fdt.c: where the kernel was given a device tree (arm64). */
const DEVICE_TREES = ['proc/device-tree', 'sys/firmware/devicetree/base'];
const MOST_SETUP_DATA = 256;
const MOST_BLOBS = 4096;

/** Reads every place in a system's files that tells of a handover. What is refused or says nothing is told as such. Never throws. */
export function toldByFiles(files: SystemFiles): ToldByFiles {
  const reading = new Reading(files);
  reading.debugfs();
  reading.setupData();
  reading.series2023();
  reading.deviceTree();
  return reading;
}

class Reading implements ToldByFiles {
  readonly told: Told[] = [];
  readonly silent: SilentPlace[] = [];

  constructor(private readonly files: SystemFiles) {}

  debugfs(): void {
    const folder = this.folder(KHO_DEBUGFS, 0, (path) => ['in', 'out', 'fdt'].some((name) => this.has(path, name)));
    if (folder === undefined) {
      if (!this.files.live) return;
      const mounted = (this.list(DEBUGFS) ?? []).length > 0;
      if (mounted) this.tellSilent(KHO_DEBUGFS, 'not there: the kernel has no kexec handover, or it is off (kho=on)');
      else this.tellSilent(DEBUGFS, 'not there: debugfs is not mounted');
      return;
    }
    for (const side of ['in', 'out']) {
      if (this.has(folder, side)) this.debugfsSide(below(folder, side), side === 'in' ? 'incoming' : 'outgoing');
    }
    // One of the two by itself.
    if (this.has(folder, 'fdt')) {
      const [name] = /[^/]*\/*$/.exec(this.place(folder)) ?? [];
      this.debugfsSide(
        folder,
        /^in\/*$/.test(name ?? '') ? 'incoming' : /^out\/*$/.test(name ?? '') ? 'outgoing' : undefined,
      );
    }
  }

  private debugfsSide(folder: string, direction: Told['direction']): void {
    const tree = this.read(below(folder, 'fdt'));
    const scratch = this.scratch(folder);
    if (tree === undefined && scratch.length === 0) {
      if (this.files.live) this.tellSilent(folder, 'has no fdt');
      return;
    }
    const users = below(folder, 'sub_fdts');
    const blobs = new Map<string, Uint8Array>();
    for (const name of (this.list(users) ?? []).slice(0, MOST_BLOBS)) {
      const blob = this.read(below(users, name));
      if (blob !== undefined) blobs.set(name, blob);
    }
    this.told.push({ place: this.place(folder), direction, ...(tree && { tree }), blobs, scratch });
  }

  setupData(): void {
    const folder = this.folder(SETUP_DATA, 1, (path) => (this.list(path) ?? []).length > 0);
    const entries = folder === undefined ? [] : (this.list(folder) ?? []).filter((name) => /^\d+$/.test(name));
    let found = 0;
    for (const name of entries.slice(0, MOST_SETUP_DATA)) {
      const entry = below(folder ?? '', name);
      const type = this.read(below(entry, 'type'));
      if (type === undefined || Number(textOf(type).trim()) !== SETUP_KHO) continue;
      const data = this.read(below(entry, 'data'));
      if (data === undefined) continue;
      found++;
      const told = readKhoData(viewOf(data));
      if (told !== undefined) this.told.push({ place: this.place(entry), direction: 'incoming', ...told });
      else this.tellSilent(entry, `struct kho_data of ${data.length} bytes, and known are those of 32 and 48`);
    }
    if (!this.files.live || found > 0) return;
    if (folder === undefined) this.tellSilent(SETUP_DATA, 'not there: no kernel handed over to this one');
    else this.tellSilent(folder, `none of ${entries.length} is of type 0xa: no kernel handed over to this one`);
  }

  series2023(): void {
    const incoming = this.folder(KHO_2023_IN, 2, (path) => this.has(path, 'dt'));
    const came = incoming === undefined ? undefined : this.read(below(incoming, 'dt'));
    if (incoming !== undefined && came !== undefined) {
      this.told.push({ place: this.place(incoming), direction: 'incoming', tree: came });
    }
    const folder = this.folder(KHO_2023, 0, (path) => this.has(path, 'dt') || this.has(path, 'dt_max'));
    if (folder === undefined) return;
    const tree = this.read(below(folder, 'dt'));
    const scratch = this.scratch(folder);
    if (tree === undefined && scratch.length === 0) {
      this.tellSilent(folder, 'has no dt: it is not active');
      return;
    }
    const place = this.place(folder);
    const outgoing = scratch.length > 0 || /kernel\/kho$/.test(place);
    const direction = outgoing ? 'outgoing' : /firmware\/kho$/.test(place) ? 'incoming' : undefined;
    this.told.push({ place, direction, ...(tree && { tree }), scratch });
  }

  deviceTree(): void {
    for (const base of DEVICE_TREES) {
      const folder = this.folder(`${base}/chosen`, 1, (path) =>
        (this.list(path) ?? []).some((name) => name.startsWith('linux,kho-')),
      );
      if (folder === undefined) continue;
      const area = (name: string): MemoryArea | undefined => this.chosenArea(folder, name);
      const upstream = area('linux,kho-fdt');
      const tree = upstream ?? area('linux,kho-dt');
      if (tree === undefined) continue;
      const scratch = area('linux,kho-scratch');
      this.told.push({
        place: this.place(folder),
        direction: 'incoming',
        address: tree.address,
        ...(scratch && (upstream === undefined ? { scratch: [scratch] } : { scratchArray: scratch })),
      });
      return;
    }
  }

  /** Address and size, big endian, of as many cells as the root of the device tree says. */
  private chosenArea(folder: string, name: string): MemoryArea | undefined {
    const value = this.read(below(folder, name));
    if (value === undefined) return undefined;
    const root = folder.replace(/\/?chosen$/, '');
    const cells = (property: string): number | undefined => {
      const count = this.read(below(root, property));
      return count?.length === 4 ? viewOf(count).getUint32(0) : undefined;
    };
    const words = value.length / 4;
    const wide = cells('#address-cells') ?? Math.ceil(words / 2);
    const long = cells('#size-cells') ?? words - wide;
    if (wide + long !== words || wide > 2 || long > 2) {
      this.tellSilent(
        below(folder, name),
        `${value.length} bytes, which are not ${wide} cells of address and ${long} of size`,
      );
      return undefined;
    }
    const view = viewOf(value);
    const number = (at: number, count: number): bigint => {
      let sum = 0n;
      for (let cell = 0; cell < count; cell++) sum = (sum << 32n) | BigInt(view.getUint32((at + cell) * 4));
      return sum;
    };
    return areaOf(number(0, wide), number(wide, long));
  }

  /** `scratch_phys` and `scratch_len`: a number on each line. */
  private scratch(folder: string): MemoryArea[] {
    const numbers = (name: string): bigint[] => {
      const words = textOf(this.read(below(folder, name)) ?? new Uint8Array()).split(/\s+/);
      return words
        .filter((word) => /^0x[0-9a-f]{1,16}$/i.test(word))
        .slice(0, MOST_SCRATCH)
        .map(BigInt);
    };
    const sizes = numbers('scratch_len');
    return numbers('scratch_phys').flatMap((address, index) => areaOf(address, sizes[index] ?? 0n) ?? []);
  }

  /**
   * Where a folder of the system is: at its own place, or in a copy with any part of the way to it left out.
   * @param least how many names of its path tell it from others
   */
  private folder(path: string, least: number, isIt: (path: string) => boolean): string | undefined {
    const names = path.split('/');
    const most = this.files.live ? 0 : names.length - least;
    for (let left = 0; left <= most; left++) {
      const place = names.slice(left).join('/');
      if (isIt(place)) return place;
    }
    return undefined;
  }

  private has(folder: string, name: string): boolean {
    return (this.list(folder) ?? []).includes(name);
  }

  private list(folder: string): readonly string[] | undefined {
    return this.attempt(folder, () => this.files.list(folder));
  }

  private read(path: string): Uint8Array | undefined {
    return this.attempt(path, () => this.files.read(path));
  }

  private attempt<T>(path: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ExhumeError)) throw error;
      this.tellSilent(path, error.message);
      return undefined;
    }
  }

  private tellSilent(path: string, why: string): void {
    const place = this.place(path);
    if (!this.silent.some((one) => one.place === place && one.why === why)) this.silent.push({ place, why });
  }

  private place(path: string): string {
    const root = this.files.name.replace(/\/+$/, '');
    return path === '' ? root || '/' : `${root}/${path}`;
  }
}

function below(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}
