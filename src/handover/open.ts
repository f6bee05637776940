import { ExhumeError, isExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type { Kernel } from '../kernel/kernel.js';
import { FDT_MAGIC, type Fdt, fdtStrings, fdtValue, readFdt } from './fdt/fdt.js';
import type { Handover, HandoverSource, MemoryArea } from './model.js';
import { is2023, read2023, SERIES_2023_NAMES } from './series-2023/read.js';
import { HandoverReader, PAGE, physical } from './source-reader.js';
import { isUpstream, readUpstream, UPSTREAM_NAMES, type UpstreamFacts } from './upstream/read.js';
import { KHO_SCRATCH } from './upstream/structures.js';

/** `SETUP_KEXEC_KHO` of arch/x86/include/uapi/asm/setup_data.h */
const SETUP_KHO = 10;
/** `hdr.setup_data` in `struct boot_params`. */
const SETUP_DATA = 0x250n;
const MOST_SETUP_DATA = 256;
/** As many scratch areas as there are NUMA nodes, and two. */
const MOST_SCRATCH = 1026;
const LARGEST_TREE = 1 << 24;

/** Reads a handover out of its tree. Throws EXH_NOT_A_DUMP and the like when it is none, EXH_UNSUPPORTED_FORMAT for trees of something else. */
export function readHandover(
  blob: Uint8Array,
  source: HandoverSource,
  facts: UpstreamFacts = { direction: undefined, address: undefined, scratch: [], evidence: [] },
): Handover {
  const tree = readFdt(blob, { knownNames: UPSTREAM_NAMES });
  if (isUpstream(tree)) return readUpstream(tree, source, facts);
  const old = readFdt(blob, { knownNames: SERIES_2023_NAMES });
  if (is2023(old)) return read2023(old, facts);
  const [compatible = ''] = fdtStrings(fdtValue(tree.root, 'compatible'));
  // Nobody handed anything over, or it is a version of the future: what is there is shown.
  if (compatible.startsWith('kho')) return { ...readUpstream(tree, source, facts), series: undefined };
  throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `a device tree, but no handover: it is "${compatible}"`, {
    found: compatible,
    expected: 'kho-v1 to kho-v4',
  });
}

/**
 * The handovers in a machine's memory: those that its kernel says it has (to the next kernel, from the one before), and
 * those that stand there besides.
 */
export function findHandovers(memory: PhysicalMemory, kernel: Kernel | undefined): readonly Handover[] {
  const source: HandoverSource = { memory, blobs: new Map() };
  const found: Handover[] = [];
  const seen = new Set<number>();
  const add = (address: number, facts: Omit<UpstreamFacts, 'address'>): void => {
    if (seen.has(address)) return;
    seen.add(address);
    const blob = treeAt(memory, address);
    if (blob === undefined) return;
    try {
      found.push(readHandover(blob, source, { ...facts, address }));
    } catch (error) {
      if (!isExhumeError(error)) throw error;
    }
  };
  if (kernel !== undefined) for (const { address, ...facts } of toldByKernel(memory, kernel)) add(address, facts);
  for (const address of treesIn(memory)) {
    add(address, {
      direction: undefined,
      scratch: [],
      evidence: ['found by searching all memory: the kernel does not name it'],
    });
  }
  return found;
}

/** Was the kernel built with kexec handover? One without symbols is taken to be. */
export function hasHandover({ symbols }: Kernel): boolean {
  const known = symbols.address('linux_banner') !== undefined;
  return !known || symbols.address('kho_in') !== undefined || symbols.address('kho_retrieve_subtree') !== undefined;
}

interface Told extends Omit<UpstreamFacts, 'address'> {
  readonly address: number;
}

/** Trees that the kernel's own variables lead to. What cannot be read is not told: the search finds it, or it isn't there. */
function toldByKernel(memory: PhysicalMemory, kernel: Kernel): Told[] {
  const told: Told[] = [];
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (isExhumeError(error)) return undefined;
      throw error;
    }
  };
  const { symbols } = kernel;
  const reader = new HandoverReader(memory);
  const scratch = attempt(() => scratchOf(kernel)) ?? [];
  const out = symbols.address('kho_out');
  const fdt = out === undefined ? undefined : attempt(() => kernel.memory.pointer(out));
  if (fdt !== undefined && fdt !== 0n) {
    const address = attempt(() => kernel.pageTable.translate(fdt));
    const physicalAt = typeof address === 'number' ? address : undefined;
    if (physicalAt !== undefined)
      told.push({ address: physicalAt, direction: 'outgoing', scratch, evidence: ['kho_out.fdt'] });
  }
  const incoming = symbols.address('kho_in');
  const at = incoming === undefined ? undefined : attempt(() => kernel.memory.u64(incoming));
  if (at !== undefined && at !== 0n) {
    told.push({ address: Number(at), direction: 'incoming', scratch, evidence: ['kho_in.fdt_phys'] });
  }
  const params = symbols.address('boot_params');
  let next =
    params === undefined ? undefined : attempt(() => kernel.memory.u64((params + SETUP_DATA) as typeof params));
  for (let count = 0; next !== undefined && next !== 0n && count < MOST_SETUP_DATA; count++) {
    const here: bigint = next;
    // struct setup_data: u64 next, u32 type, u32 len; struct kho_data: u64 fdt_addr, fdt_size, scratch_addr, scratch_size.
    const data = attempt(() => reader.view(here, 48));
    if (data === undefined) break;
    next = data.getBigUint64(0, true);
    if (data.getUint32(8, true) !== SETUP_KHO) continue;
    const area = attempt(() =>
      readScratch(reader, data.getBigUint64(32, true), Number(data.getBigUint64(40, true)) / KHO_SCRATCH.size),
    );
    told.push({
      address: Number(data.getBigUint64(16, true)),
      direction: 'incoming',
      scratch: area ?? [],
      evidence: ['setup_data of type 10'],
    });
  }
  return told;
}

/** `kho_scratch[]` of this kernel: what it leaves free for the next. */
function scratchOf(kernel: Kernel): MemoryArea[] {
  const array = kernel.symbols.address('kho_scratch');
  const count = kernel.symbols.address('kho_scratch_cnt');
  if (array === undefined || count === undefined) return [];
  const first = kernel.memory.pointer(array);
  const found: MemoryArea[] = [];
  const total = Math.min(kernel.memory.u32(count), MOST_SCRATCH);
  for (let index = 0; index < total; index++) {
    const bytes = new Uint8Array(KHO_SCRATCH.size);
    kernel.memory.read((first + BigInt(index * KHO_SCRATCH.size)) as typeof first, bytes);
    const { addr, size } = KHO_SCRATCH.read(viewOf(bytes), 0, true);
    if (size !== 0n) found.push({ address: physical(addr), size: Number(size) });
  }
  return found;
}

function readScratch(reader: HandoverReader, address: bigint, count: number): MemoryArea[] {
  const found: MemoryArea[] = [];
  for (let index = 0; index < Math.min(count, MOST_SCRATCH); index++) {
    const at = address + BigInt(index * KHO_SCRATCH.size);
    const { addr, size } = KHO_SCRATCH.read(reader.view(at, KHO_SCRATCH.size), 0, true);
    if (size !== 0n) found.push({ address: physical(addr), size: Number(size) });
  }
  return found;
}

/** Pages that begin with a tree whose root may be a handover's. */
function* treesIn(memory: PhysicalMemory): Generator<number> {
  for (const { start, end } of memory.presentRanges()) {
    for (let at = Math.ceil(start / PAGE) * PAGE; at + PAGE <= end; at += PAGE) {
      const page = memory.peek((at / PAGE) as Parameters<PhysicalMemory['peek']>[0]);
      if (typeof page === 'string' || page[0] !== 0xd0 || viewOf(page).getUint32(0) !== FDT_MAGIC) continue;
      if (handoverRoot(page.slice(0, PAGE))) yield at;
    }
  }
}

function handoverRoot(page: Uint8Array): boolean {
  let tree: Fdt;
  try {
    tree = readFdt(page);
  } catch (error) {
    if (isExhumeError(error)) return false;
    throw error;
  }
  return /^kho-v/.test(fdtStrings(fdtValue(tree.root, 'compatible'))[0] ?? '');
}

/** The bytes of a tree in memory, as many as its header says and are there. */
function treeAt(memory: PhysicalMemory, address: number): Uint8Array | undefined {
  const header = new Uint8Array(8);
  if (memory.tryRead(address as Parameters<PhysicalMemory['tryRead']>[0], header) !== undefined) return undefined;
  if (viewOf(header).getUint32(0) !== FDT_MAGIC) return undefined;
  const bytes = new Uint8Array(Math.min(viewOf(header).getUint32(4), LARGEST_TREE));
  const stopped = memory.tryRead(address as Parameters<PhysicalMemory['tryRead']>[0], bytes);
  return stopped === undefined ? bytes : bytes.subarray(0, stopped.address - address);
}
