import { orUndefined } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import type { Kernel } from '../../kernel/kernel.js';
import { KernelView } from '../../kernel/kernel-view.js';
import type { MemoryArea } from '../model.js';
import { HandoverReader } from '../source-reader.js';
import { KHO_SCRATCH } from '../upstream/structures.js';
import { areaOf, KHO_DATA_SIZE, readKhoData, SETUP_KHO } from './kho-data.js';
import { LARGEST_TREE } from './memory-trees.js';
import { MOST_SCRATCH, scratchAreas } from './scratch.js';
import type { Told } from './told.js';

/** `hdr.setup_data` in `struct boot_params`. */
const SETUP_DATA = 0x250n;
/** `struct setup_data`: u64 next, u32 type, u32 len; then the data. */
const SETUP_HEADER = 16;
const MOST_SETUP_DATA = 256;

/**
 * What a kernel's own variables tell of its handovers: to the next kernel, and from the one before. What cannot be read
 * is not told.
 */
export function toldByKernel(memory: PhysicalMemory, kernel: Kernel): Told[] {
  const { symbols } = kernel;
  const told: Told[] = [];
  const scratch = orUndefined(() => scratchOf(kernel)) ?? [];
  const out = symbols.address('kho_out');
  const fdt = out === undefined ? undefined : orUndefined(() => kernel.memory.pointer(out));
  if (fdt !== undefined && fdt !== 0n) {
    const address = orUndefined(() => kernel.pageTable.translate(fdt));
    if (typeof address === 'number') told.push({ place: 'kho_out.fdt', direction: 'outgoing', address, scratch });
  }
  const incoming = symbols.address('kho_in');
  const at = incoming === undefined ? undefined : orUndefined(() => kernel.memory.u64(incoming));
  if (at !== undefined && at !== 0n) {
    const sessions = orUndefined(() => keptSessions(kernel));
    told.push({ place: 'kho_in.fdt_phys', direction: 'incoming', address: Number(at), scratch, sessions });
  }
  told.push(...toldBySetupData(memory, kernel), ...toldBySeries2023(kernel));
  return told;
}

/** `kho`, a `struct kho_out` with member `dt`: the series of 2023/24 writes its tree into memory of vmalloc, whose pages lie apart. */
function toldBySeries2023(kernel: Kernel): Told[] {
  const told = orUndefined((): Told | undefined => {
    const view = new KernelView(kernel);
    const kho = view.variable('kho', 'kho_out');
    const start = kho.pointer('dt');
    if (start === 0n) return undefined;
    const tree = kernel.memory.bytes(start, Math.min(kho.int('dt_len'), LARGEST_TREE));
    const address = kernel.pageTable.translate(start);
    const scratch = areaOf(
      kernel.memory.u64(view.address('kho_scratch_phys')),
      kernel.memory.u64(view.address('kho_scratch_len')),
    );
    return {
      place: 'kho.dt',
      direction: 'outgoing',
      tree,
      ...(typeof address === 'number' && { address, apart: true }),
      scratch: scratch === undefined ? [] : [scratch],
    };
  });
  return told === undefined ? [] : [told];
}

/** `boot_params.hdr.setup_data`: a list in memory, by physical addresses. */
function toldBySetupData(memory: PhysicalMemory, kernel: Kernel): Told[] {
  const told: Told[] = [];
  const reader = new HandoverReader(memory);
  const params = kernel.symbols.address('boot_params');
  let next =
    params === undefined ? undefined : orUndefined(() => kernel.memory.u64((params + SETUP_DATA) as typeof params));
  for (let count = 0; next !== undefined && next !== 0n && count < MOST_SETUP_DATA; count++) {
    const here: bigint = next;
    const header = orUndefined(() => reader.view(here, SETUP_HEADER));
    if (header === undefined) break;
    next = header.getBigUint64(0, true);
    if (header.getUint32(8, true) !== SETUP_KHO) continue;
    const length = header.getUint32(12, true);
    if (length > KHO_DATA_SIZE) continue;
    const data = orUndefined(() => reader.view(here + BigInt(SETUP_HEADER), length));
    const found = data && readKhoData(data);
    if (found !== undefined) told.push({ place: 'setup_data of type 10', direction: 'incoming', ...found });
  }
  return told;
}

/** `kho_scratch[]` of this kernel: what it leaves free for the next. */
function scratchOf(kernel: Kernel): MemoryArea[] {
  const array = kernel.symbols.address('kho_scratch');
  const count = kernel.symbols.address('kho_scratch_cnt');
  if (array === undefined || count === undefined) return [];
  const total = Math.min(kernel.memory.u32(count), MOST_SCRATCH);
  const bytes = kernel.memory.bytes(kernel.memory.pointer(array), total * KHO_SCRATCH.size);
  return scratchAreas(viewOf(bytes));
}

/**
 * `luo_session_global.incoming.block_set.head_pa` (kernel/liveupdate/luo_session.c): the kernel frees `struct luo_ser` when it
 * has read it, and keeps the list until a program opens /dev/liveupdate.
 */
function keptSessions(kernel: Kernel): bigint | undefined {
  const at = kernel.symbols.address('luo_session_global');
  if (at === undefined) return undefined;
  const first = new KernelView(kernel).struct('luo_session_global', at).big('incoming.block_set.head_pa');
  return first === 0n ? undefined : first;
}
