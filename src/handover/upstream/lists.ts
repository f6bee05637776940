import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { MemoryArea } from '../model.js';
import { type HandoverReader, PAGE, physical } from '../source-reader.js';
import { KHO_BLOCK, KHO_VMALLOC } from './structures.js';

/** `KHO_MAX_BLOCKS` of kernel/liveupdate/kho_block.c: of more the next kernel takes none. */
const MOST_BLOCKS = 10_000;
/** `KHO_VMALLOC_ALLOC`, `KHO_VMALLOC_HUGE_VMAP` */
const KNOWN_FLAGS = 3;
/** Pages of a vmalloc area: 64 GiB of them. */
const MOST_PAGES = 1 << 24;
/** Physical addresses in a chunk (`KHO_VMALLOC_SIZE`), behind the address of the next. */
const PER_CHUNK = PAGE / 8 - 1;

/**
 * The entries of a list of blocks, each with where it stands. Throws EXH_BAD_STRUCTURE for what `kho_block_set_restore` refuses:
 * a list without end, a block without entries or with more than fit.
 */
export function* blockEntries(
  reader: HandoverReader,
  first: bigint,
  entrySize: number,
): Generator<{ readonly view: DataView; readonly block: MemoryArea }> {
  const seen = new Set<bigint>();
  for (let at = first; at !== 0n; ) {
    if (seen.has(at) || seen.size >= MOST_BLOCKS) throw endless('list of blocks', at);
    seen.add(at);
    const page = reader.bytes(at, PAGE);
    const view = viewOf(page);
    const { next, count } = KHO_BLOCK.read(view, 0, true);
    const most = BigInt(Math.floor((PAGE - KHO_BLOCK.size) / entrySize));
    if (count === 0n || count > most) {
      throw new ExhumeError('EXH_BAD_STRUCTURE', `a block of ${count} entries, of which ${most} fit into a page`, {
        address: at,
        found: count,
        expected: most,
      });
    }
    const block = { address: physical(at), size: PAGE };
    for (let index = 0; index < Number(count); index++) {
      const start = KHO_BLOCK.size + index * entrySize;
      yield { view: viewOf(page.subarray(start, start + entrySize)), block };
    }
    at = next;
  }
}

/** The pieces of memory behind a `struct kho_vmalloc`, in order. */
export interface VmallocArea {
  readonly pieces: readonly MemoryArea[];
  /** Pages of the description itself. */
  readonly own: readonly MemoryArea[];
  /** Bits of the flags that no kernel up to 7.2 knows. */
  readonly unknownFlags: number;
}

/** Follows a `struct kho_vmalloc`. Throws EXH_BAD_STRUCTURE when it has no end, or says another number of pages. */
export function readVmalloc(reader: HandoverReader, descriptor: DataView): VmallocArea {
  const { first, total_pages: total, order, flags } = KHO_VMALLOC.read(descriptor, 0, true);
  if (order > 30 || total > MOST_PAGES) throw endless('vmalloc area', first);
  const pieces: MemoryArea[] = [];
  const own: MemoryArea[] = [];
  const seen = new Set<bigint>();
  const size = PAGE * 2 ** order;
  for (let at = first; at !== 0n; ) {
    if (seen.has(at) || pieces.length > total) throw endless('vmalloc area', at);
    seen.add(at);
    const chunk = reader.view(at, PAGE);
    own.push({ address: physical(at), size: PAGE });
    for (let index = 0; index < PER_CHUNK; index++) {
      const address = chunk.getBigUint64(8 + index * 8, true);
      if (address === 0n) break;
      pieces.push({ address: physical(address), size });
    }
    at = chunk.getBigUint64(0, true);
  }
  if (pieces.length * 2 ** order !== total) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', `a vmalloc area of ${total} pages names ${pieces.length * 2 ** order}`, {
      expected: total,
      found: pieces.length * 2 ** order,
    });
  }
  return { pieces, own, unknownFlags: flags & ~KNOWN_FLAGS };
}

function endless(what: string, address: bigint): ExhumeError {
  return new ExhumeError('EXH_BAD_STRUCTURE', `a ${what} without end, at 0x${address.toString(16)}`, { address });
}
