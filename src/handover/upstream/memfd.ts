import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { DecodedNode, HandoverFile, NamedArea } from '../model.js';
import { type HandoverReader, PAGE } from '../source-reader.js';
import { hexText, node, sizeText } from '../words.js';
import { readVmalloc } from './lists.js';
import { MEMFD, MEMFD_FOLIO, MEMFD_V1 } from './structures.js';

export const MEMFD_COMPATIBLE = /^memfd-v[12]$/;

/** Of include/uapi/linux/fcntl.h, from the lowest bit. */
const SEALS = ['F_SEAL_SEAL', 'F_SEAL_SHRINK', 'F_SEAL_GROW', 'F_SEAL_WRITE', 'F_SEAL_FUTURE_WRITE', 'F_SEAL_EXEC'];
const PFN_BITS = 52n;
const PFN_MASK = (1n << PFN_BITS) - 1n;
/** Of a folio: it has data of the user's. */
export const FOLIO_DIRTY = 1;
/** Of a folio: it was filled, with zeros at least. */
export const FOLIO_UPTODATE = 2;

/** What a memfd hands over. */
export interface Memfd {
  readonly content: DecodedNode;
  readonly file: HandoverFile;
  readonly areas: readonly NamedArea[];
}

/** Reads a `struct memfd_luo_ser`, and the list of its folios. Throws where memory is missing or the list is broken. */
export function readMemfd(reader: HandoverReader, address: bigint, name: string, compatible: string): Memfd {
  const view = reader.view(address, MEMFD.size);
  const old = { seals: 0, flags: 0, ...MEMFD_V1.read(view, 0, true) };
  const {
    pos,
    size,
    seals,
    flags,
    nr_folios: count,
    folios,
  } = compatible === 'memfd-v1' ? old : MEMFD.read(view, 0, true);
  // Of an empty file there is no list (memfd_luo_retrieve).
  const list = count === 0n ? { pieces: [], own: [], unknownFlags: 0 } : readVmalloc(reader, viewOf(folios));
  const found: { address: number; index: number; flags: number }[] = [];
  for (let index = 0; index < Number(count); index++) {
    const at = index * MEMFD_FOLIO.size;
    const piece = list.pieces[Math.floor(at / (list.pieces[0]?.size ?? PAGE))];
    if (piece === undefined) {
      throw new ExhumeError('EXH_BAD_STRUCTURE', `a list of ${count} folios, which ends after ${index}`, {
        expected: count,
        found: index,
      });
    }
    const within = BigInt(piece.address) + BigInt(at % piece.size);
    const folio = MEMFD_FOLIO.read(reader.view(within, MEMFD_FOLIO.size), 0, true);
    // Nothing was there: the next kernel leaves it a hole.
    if ((folio.pfn_flags & PFN_MASK) === 0n) continue;
    found.push({
      address: Number((folio.pfn_flags & PFN_MASK) * BigInt(PAGE)),
      index: Number(folio.index),
      flags: Number(folio.pfn_flags >> PFN_BITS),
    });
  }
  const set = SEALS.filter((_, bit) => (seals >> bit) & 1);
  const unknown = seals >>> SEALS.length;
  if (unknown !== 0) set.push(hexText(unknown * 2 ** SEALS.length));
  return {
    content: node(name, [
      ['size', sizeText(size)],
      ['pos', pos],
      ['seals', set.length === 0 ? 'none' : set.join(', ')],
      ['flags', hexText(flags)],
      ['nr_folios', count],
    ]),
    file: {
      name,
      size: Number(size),
      folios: found,
      ...(list.unknownFlags !== 0 && { unknownFlags: list.unknownFlags }),
      ...(unknown !== 0 && { refusal: 'seals that it does not know' }),
    },
    areas: [
      { address: Number(address), size: PAGE, what: `${name}: struct memfd_luo_ser` },
      ...[...list.own, ...list.pieces].map((area) => ({ ...area, what: `${name}: list of folios` })),
      ...found.map(({ address: at }) => ({ address: at, size: PAGE, what: `${name}: folio` })),
    ],
  };
}
