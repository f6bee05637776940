import { viewOf } from '../../bytes/struct-table.js';
import { PAGE } from '../source-reader.js';
import { MEMFD, MEMFD_FOLIO, MEMFD_V1 } from '../upstream/structures.js';
import type { Content } from './content.js';
import { contentFrom } from './content.js';
import { addressOf, type BuildContext, resolveContent, sizeOf, word32Of, wordOf } from './context.js';
import type { FolioDescription, MemfdDescription } from './description.js';
import { type Piece, usage } from './layout.js';
import { placeVmalloc } from './vmalloc.js';

/** Dirty and up to date: as every folio is handed over. */
const FOLIO_FLAGS = 3;
/** Of a list: more is a mistake. */
const MOST_FOLIOS = 1 << 22;

interface PlannedFolio {
  readonly index: number;
  readonly flags: number;
  /** Undefined: a hole. */
  readonly piece: Piece | undefined;
}

/**
 * Places a memfd as memfd_luo_preserve leaves it: its folios, their list in memory as vmalloc has it, and the
 * `struct memfd_luo_ser`, whose piece this gives.
 * @param old memfd-v1: without seals and flags
 */
export function placeMemfd(
  context: BuildContext,
  description: MemfdDescription,
  path: string,
  name: string,
  old: boolean,
): Piece {
  const { layout } = context;
  const { folios: list, content } = planFolios(context, description, path);
  const folios = list.map((folio, index) => placeFolio(context, folio, content, `${path}.folios[${index}]`, name));
  const end = folios.reduce((most, { index, piece }) => Math.max(most, index * PAGE + (piece?.size ?? PAGE)), 0);
  const size = description.size === undefined ? (content.size ?? end) : sizeOf(description.size, `${path}.size`);
  const descriptor =
    folios.length === 0
      ? () => new Uint8Array(16)
      : placeVmalloc(context, { ...description.list }, `${path}.list`, `${name}: list of folios`, {
          size: folios.length * MEMFD_FOLIO.size,
          content: () => listOf(folios),
        });
  const table = old ? MEMFD_V1 : MEMFD;
  return layout.place({
    what: `${name}: struct memfd_luo_ser`,
    path,
    size: table.size,
    address: addressOf(description.address, `${path}.address`),
    preserve: (description.preserve ?? true) ? 'folio' : 'no',
    content: () => {
      const bytes = new Uint8Array(table.size);
      const values = {
        pos: wordOf(description.pos, `${path}.pos`),
        size: BigInt(size),
        nr_folios: wordOf(description.count, `${path}.count`, BigInt(folios.length)),
        folios: descriptor(),
      };
      if (old) MEMFD_V1.write(viewOf(bytes), 0, values);
      else {
        const seals = word32Of(description.seals, `${path}.seals`);
        const flags = word32Of(description.flags, `${path}.flags`);
        MEMFD.write(viewOf(bytes), 0, { ...values, seals, flags });
      }
      return bytes;
    },
  });
}

/** The folios that are given, or as many as the content or the size needs. */
function planFolios(
  context: BuildContext,
  { folios, content, size, order = 0 }: MemfdDescription,
  path: string,
): {
  readonly folios: readonly FolioDescription[];
  readonly content: { readonly content: Content; readonly size?: number };
} {
  const resolved = resolveContent(context, content, `${path}.content`);
  const wanted = size === undefined ? resolved.size : sizeOf(size, `${path}.size`);
  const whole = { content: resolved.content, ...(wanted !== undefined && { size: wanted }) };
  if (folios !== undefined) {
    let next = 0;
    const indexed = folios.map((folio) => {
      const index = folio.index ?? next;
      next = index + 2 ** (folio.order ?? 0);
      return { ...folio, index };
    });
    return { folios: indexed, content: whole };
  }
  const count = Math.ceil((wanted ?? 0) / (PAGE * 2 ** order));
  if (count > MOST_FOLIOS) throw usage(path, `${count} folios are too many: a larger order makes fewer`);
  return { folios: Array.from({ length: count }, (_, at) => ({ order, index: at * 2 ** order })), content: whole };
}

function placeFolio(
  context: BuildContext,
  folio: FolioDescription,
  file: { readonly content: Content; readonly size?: number },
  path: string,
  name: string,
): PlannedFolio {
  const { index = 0, flags = FOLIO_FLAGS, order = 0, preserve = true } = folio;
  if (folio.hole === true) return { index, flags, piece: undefined };
  const address = addressOf(folio.address, `${path}.address`);
  if (address !== undefined && address % PAGE !== 0) {
    throw usage(`${path}.address`, 'a folio is named by its page: no multiple of 4096 can be told');
  }
  const own = folio.content === undefined ? undefined : resolveContent(context, folio.content, `${path}.content`);
  const size = PAGE * 2 ** order;
  if (own?.size !== undefined && own.size > size)
    throw usage(`${path}.content`, `has ${own.size} bytes: a folio has ${size}`);
  const piece = context.layout.place({
    what: `${name}: folio of page ${index}`,
    path,
    size,
    align: size,
    address,
    preserve: preserve ? 'folio' : 'no',
    content: own?.content ?? upTo(contentFrom(file.content, index * PAGE), (file.size ?? Infinity) - index * PAGE),
  });
  return { index, flags, piece };
}

function upTo(content: Content, size: number): Content {
  if (typeof content === 'string') return content;
  return {
    name: content.name,
    size: Math.max(0, Math.min(content.size, size)),
    read: (at, into) => content.read(at, into),
  };
}

function listOf(folios: readonly PlannedFolio[]): Uint8Array {
  const bytes = new Uint8Array(folios.length * MEMFD_FOLIO.size);
  const view = viewOf(bytes);
  for (const [at, { index, flags, piece }] of folios.entries()) {
    const pfn = BigInt((piece?.address ?? 0) / PAGE);
    const pfn_flags = piece === undefined ? 0n : pfn | (BigInt(flags) << 52n);
    MEMFD_FOLIO.write(view, at * MEMFD_FOLIO.size, { pfn_flags, index: BigInt(index) });
  }
  return bytes;
}
