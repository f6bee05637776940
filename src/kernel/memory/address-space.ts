import { hex, type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { attempt, collectEach } from '../collect.js';
import { deviceNumber } from '../filesystems/mounts.js';
import { PathBuilder, pathText } from '../filesystems/paths.js';
import type { KernelView } from '../kernel-view.js';
import { mapleRanges } from '../types/maple-tree.js';
import type { Struct } from '../types/struct.js';

/** A virtual memory area of a process: `struct vm_area_struct`. */
export interface MemoryArea {
  readonly address: VirtualAddress;
  readonly start: VirtualAddress;
  /** The first address after it. */
  readonly end: bigint;
  /** `vm_flags`. */
  readonly flags: bigint;
  /** `r-xp`, as in /proc/PID/maps. */
  readonly permissions: string;
  /** Offset in the file, in bytes. */
  readonly offset: bigint;
  readonly inode: bigint;
  /** `MAJOR:MINOR` of the device that the file is on; undefined for memory without a file. */
  readonly device: string | undefined;
  /** The file that it maps; undefined for memory without one. */
  readonly file: string | undefined;
  /** What /proc/PID/maps writes for memory without a file: `[heap]`, `[stack]`, `[vdso]`. */
  readonly name: string | undefined;
}

/** `sysctl_max_map_count` can be raised, but not beyond what fits into memory. */
const MOST_AREAS = 1 << 22;

const VM_READ = 1n;
const VM_WRITE = 2n;
const VM_EXEC = 4n;
const VM_MAYSHARE = 0x80n;

/** The areas of an `mm_struct`, ascending: a maple tree since 6.1, a list before. */
export function readMemoryAreas(view: KernelView, mm: Struct, damage: Damage[]): MemoryArea[] {
  const part = `memory areas of mm ${hex(mm.address)}`;
  const names = new AreaNames(view, mm);
  const type = view.types.requireStruct('vm_area_struct');
  const addresses = attempt(damage, part, () => areaAddresses(view, mm)) ?? [];
  return collectEach(
    damage,
    part,
    addresses,
    (address) => readArea(names, view.struct(type.name, address), damage, part),
    MOST_AREAS,
  );
}

function areaAddresses(view: KernelView, mm: Struct): Iterable<bigint> {
  return mm.has('mm_mt') ? treeAreas(view, mm) : listAreas(view, mm);
}

function* treeAreas(view: KernelView, mm: Struct): Generator<bigint> {
  for (const { entry } of mapleRanges(view.memory, view.types, mm.addressOf('mm_mt'))) yield entry;
}

function* listAreas(view: KernelView, mm: Struct): Generator<bigint> {
  const next = BigInt(view.types.requireStruct('vm_area_struct').require('vm_next').offset);
  const start = BigInt(view.types.requireStruct('vm_area_struct').require('vm_start').offset);
  let before = -1n;
  for (let area: bigint = mm.pointer('mmap'); area !== 0n; area = view.memory.pointer(area + next)) {
    // The list is sorted, which no circle is.
    const from = view.memory.u64(area + start);
    if (from <= before) throw new ExhumeError('EXH_BAD_STRUCTURE', 'memory areas are out of order', { address: area });
    before = from;
    yield area;
  }
}

function readArea(names: AreaNames, area: Struct, damage: Damage[], part: string): MemoryArea {
  const start = area.pointer('vm_start');
  const end = area.big('vm_end');
  const flags = area.big('vm_flags');
  const file = area.follow('vm_file');
  const path = file === undefined ? undefined : attempt(damage, part, () => names.ofFile(file));
  const has = (bit: bigint, letter: string): string => ((flags & bit) === 0n ? '-' : letter);
  return {
    address: area.address,
    start,
    end,
    flags,
    permissions:
      has(VM_READ, 'r') + has(VM_WRITE, 'w') + has(VM_EXEC, 'x') + ((flags & VM_MAYSHARE) === 0n ? 'p' : 's'),
    offset: file === undefined ? 0n : area.big('vm_pgoff') * BigInt(area.memory.physical.pageSize),
    inode: file === undefined ? 0n : (attempt(damage, part, () => file.big('f_inode->i_ino')) ?? 0n),
    device:
      file === undefined ? undefined : attempt(damage, part, () => deviceNumber(file.int('f_inode->i_sb->s_dev'))),
    file: path,
    name: file === undefined ? attempt(damage, part, () => names.ofMemory(area, start, end)) : undefined,
  };
}

/** Names areas as `show_map_vma()` does (fs/proc/task_mmu.c). */
class AreaNames {
  private readonly paths: PathBuilder;
  private readonly known = new Map<bigint, string | undefined>();
  private readonly specialName: bigint | undefined;

  constructor(
    private readonly view: KernelView,
    private readonly mm: Struct,
  ) {
    this.paths = new PathBuilder(view);
    this.specialName = view.kernel.symbols.address('special_mapping_name');
  }

  /** A library is mapped in several pieces: its path is built once. */
  ofFile(file: Struct): string | undefined {
    if (!this.known.has(file.address)) {
      const place = this.paths.place(file, 'f_path');
      this.known.set(file.address, place === undefined ? undefined : pathText(this.paths.name(place)));
    }
    return this.known.get(file.address);
  }

  ofMemory(area: Struct, start: bigint, end: bigint): string | undefined {
    const { mm } = this;
    const operations = area.pointer('vm_ops');
    if (operations !== 0n && this.specialName !== undefined) {
      const name = this.view.struct('vm_operations_struct', operations).pointer('name');
      const mapping = area.pointer('vm_private_data');
      if (name === this.specialName && mapping !== 0n) {
        return this.view.struct('vm_special_mapping', mapping).string('name', 64);
      }
    }
    if (start <= mm.big('brk') && end >= mm.big('start_brk')) return '[heap]';
    const stack = mm.big('start_stack');
    if (start <= stack && end >= stack) return '[stack]';
    if (!area.has('anon_name')) return undefined;
    const given = area.pointer('anon_name');
    return given === 0n ? undefined : `[anon:${this.view.struct('anon_vma_name', given).string('name', 80)}]`;
  }
}

/** The page table of a process, as crash prints it. */
export function pageTableOf(mm: Struct): VirtualAddress {
  return virtualAddress(mm.pointer('pgd'));
}
