import { viewOf } from '../../bytes/struct-table.js';
import { PAGE } from '../source-reader.js';
import { KHO_VMALLOC } from '../upstream/structures.js';
import type { Content } from './content.js';
import { contentFrom } from './content.js';
import { addressOf, type BuildContext, sized } from './context.js';
import type { VmallocDescription } from './description.js';
import type { Piece } from './layout.js';

/** Addresses in a chunk (`KHO_VMALLOC_SIZE`), behind that of the next. */
const PER_CHUNK = PAGE / 8 - 1;
const VM_ALLOC = 1;

/** What the memory is to hold: a function is asked when all addresses are settled. */
export interface VmallocContent {
  readonly size: number;
  readonly content: Content | (() => Uint8Array);
}

/**
 * Places memory as kho_preserve_vmalloc finds it: pages of one order wherever there is room, and the chunks that list them
 * (one more than needed where the last is full, as the kernel has it). Gives the `struct kho_vmalloc`, once all is settled.
 */
export function placeVmalloc(
  context: BuildContext,
  description: VmallocDescription,
  path: string,
  what: string,
  given?: VmallocContent,
): () => Uint8Array {
  const { layout } = context;
  const { order = 0, flags = VM_ALLOC, pages: at = [], chunks: chunksAt = [], preserve = true } = description;
  const { size, content } = given ?? sized(context, description, path);
  const pageSize = PAGE * 2 ** order;
  const count = Math.ceil(size / pageSize);
  const preservation = preserve ? 'pages' : 'no';
  const made = typeof content === 'function' ? once(content) : undefined;
  const pages = Array.from({ length: count }, (_, index) => {
    const start = index * pageSize;
    return layout.place({
      what: `${what}: page ${index}`,
      path: `${path}.pages[${index}]`,
      size: pageSize,
      align: pageSize,
      address: addressOf(at[index], `${path}.pages[${index}]`),
      preserve: preservation,
      content: made === undefined ? partOf(content, start, size) : () => made().subarray(start, start + pageSize),
    });
  });
  const chunks: Piece[] = [];
  for (let index = 0; index * PER_CHUNK <= count; index++) {
    const listed = pages.slice(index * PER_CHUNK, (index + 1) * PER_CHUNK);
    chunks.push(
      layout.place({
        what: `${what}: struct kho_vmalloc_chunk`,
        path: `${path}.chunks[${index}]`,
        size: PAGE,
        address: addressOf(chunksAt[index], `${path}.chunks[${index}]`),
        preserve: preservation,
        content: () => chunkOf(chunks[index + 1]?.address ?? 0, listed),
      }),
    );
  }
  return () => {
    const bytes = new Uint8Array(KHO_VMALLOC.size);
    KHO_VMALLOC.write(viewOf(bytes), 0, {
      first: BigInt(chunks[0]?.address ?? 0),
      total_pages: description.totalPages ?? count * 2 ** order,
      flags,
      order,
    });
    return bytes;
  };
}

function partOf(content: Content | (() => Uint8Array), start: number, size: number): Content {
  if (typeof content === 'function') throw new Error('not a content that is known before');
  if (typeof content === 'string') return content;
  const part = contentFrom(content, start);
  if (typeof part === 'string') return part;
  // What is longer than the memory (a pattern) ends with it.
  const left = size - start;
  return { name: part.name, size: Math.min(part.size, left), read: (offset, into) => part.read(offset, into) };
}

function chunkOf(next: number, pages: readonly Piece[]): Uint8Array {
  const page = new Uint8Array(PAGE);
  const view = viewOf(page);
  view.setBigUint64(0, BigInt(next), true);
  for (const [index, { address }] of pages.entries()) view.setBigUint64(8 + index * 8, BigInt(address), true);
  return page;
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
