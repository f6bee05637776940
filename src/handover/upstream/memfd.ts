import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { DecodedNode, HandoverFile, MemoryArea, NamedArea } from '../model.js';
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

/** Bytes of its list that are read at once. */
const AT_ONCE = 1 << 20;

type Folio = HandoverFile['folios'][number];

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
  const found: Folio[] = [];
  for (const view of listed(reader, list.pieces, Number(count))) {
    for (let at = 0; at < view.byteLength; at += MEMFD_FOLIO.size) {
      const { pfn_flags: word, index } = MEMFD_FOLIO.read(view, at, true);
      const pfn = Number(word & PFN_MASK);
      // Nothing was there: the next kernel leaves it a hole.
      if (pfn !== 0) found.push({ address: pfn * PAGE, index: Number(index), flags: Number(word >> PFN_BITS) });
    }
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
      ...runsOf(found, `${name}: folio`),
    ],
  };
}

/** The entries of a list, many at once. Throws where it has fewer than it says. */
function* listed(reader: HandoverReader, pieces: readonly MemoryArea[], count: number): Generator<DataView> {
  let left = count;
  for (const { address, size } of pieces) {
    for (let at = 0; at < size && left > 0; at += AT_ONCE) {
      const length = Math.min(AT_ONCE, size - at, left * MEMFD_FOLIO.size);
      yield reader.view(BigInt(address + at), length);
      left -= length / MEMFD_FOLIO.size;
    }
  }
  if (left > 0) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', `a list of ${count} folios, which ends after ${count - left}`, {
      expected: count,
      found: count - left,
    });
  }
}

/** The first pages of folios: those that lie behind each other in one area. A guest may have millions. */
function runsOf(folios: readonly Folio[], what: string): NamedArea[] {
  const runs: (NamedArea & { size: number })[] = [];
  for (const { address } of folios) {
    const last = runs.at(-1);
    if (last !== undefined && last.address + last.size === address) last.size += PAGE;
    else runs.push({ address, size: PAGE, what });
  }
  return runs;
}
