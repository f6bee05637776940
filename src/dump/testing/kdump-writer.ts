/**
 * Writes small kdump files for tests, in every layout. Offsets stand here as numbers of their own,
 * so that a wrong table in the reader does not make the test wrong with it.
 */

export interface WrittenPage {
  /** page_desc.flags: 0 not compressed, 1 zlib, 2 lzo, 4 snappy, 0x20 zstd. */
  readonly flags: number;
  readonly data: Uint8Array;
}

export interface KdumpSpec {
  readonly layout: '64-bit' | '32-bit packed' | '32-bit aligned';
  readonly littleEndian: boolean;
  readonly version: number;
  readonly signature?: string;
  readonly machine?: string;
  readonly status?: number;
  readonly blockSize?: number;
  readonly bitmaps?: 1 | 2;
  readonly maxMapnr: number;
  /** Page frames that are RAM but not in the file. */
  readonly excluded?: readonly number[];
  /** Page frames in the file; `lost` has descriptor offset 0 and some size. Pages with the same data array share it. */
  readonly pages: ReadonlyMap<number, WrittenPage | 'lost'>;
  readonly notes?: Uint8Array;
  readonly vmcoreinfo?: Uint8Array;
  readonly physBase?: bigint;
  /** A member of a set: only descriptors and data of these page frames, but the bitmaps of all. */
  readonly split?: readonly [start: number, end: number];
}

const SUB_HEADERS = {
  '64-bit': { dumpLevel: 8, split: 12, start: 16, end: 24, vmcoreinfo: 32, note: 48, start64: 80, size: 104 },
  '32-bit packed': { dumpLevel: 4, split: 8, start: 12, end: 16, vmcoreinfo: 20, note: 32, start64: 56, size: 80 },
  '32-bit aligned': { dumpLevel: 4, split: 8, start: 12, end: 16, vmcoreinfo: 24, note: 40, start64: 72, size: 96 },
} as const;

export function writeKdump(spec: KdumpSpec): Uint8Array {
  const { littleEndian: le, maxMapnr, version } = spec;
  const block = spec.blockSize ?? 4096;
  const bitmaps = spec.bitmaps ?? 2;
  const bitmapBytes = Math.ceil(Math.ceil(maxMapnr / 8) / block) * block;
  const notes = spec.notes ?? new Uint8Array();
  const vmcoreinfo = spec.vmcoreinfo ?? new Uint8Array();
  const sub = SUB_HEADERS[spec.layout];
  const wordSize = spec.layout === '64-bit' ? 8 : 4;
  const noteAt = block + sub.size;
  const subBlocks = Math.ceil((sub.size + notes.length + vmcoreinfo.length) / block);
  const bitmapsAt = (1 + subBlocks) * block;
  const descriptorsAt = bitmapsAt + bitmaps * bitmapBytes;
  const own = [...spec.pages].filter(
    ([pfn]) => spec.split === undefined || (pfn >= spec.split[0] && pfn < spec.split[1]),
  );
  own.sort(([a], [b]) => a - b);
  const distinct = new Set(own.flatMap(([, page]) => (page === 'lost' ? [] : [page.data])));
  const size = descriptorsAt + own.length * 24 + [...distinct].reduce((sum, data) => sum + data.length, 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);

  bytes.set(new TextEncoder().encode(spec.signature ?? 'KDUMP   '));
  view.setInt32(8, version, le);
  bytes.set(new TextEncoder().encode(spec.machine ?? ''), 12 + 4 * 65);
  const wide = spec.layout === '64-bit';
  const main = wide ? 424 : 412;
  view.setUint32(main, spec.status ?? 1, le);
  view.setInt32(main + 4, block, le);
  view.setInt32(main + 8, subBlocks, le);
  view.setUint32(main + 12, (bitmaps * bitmapBytes) / block, le);
  view.setUint32(main + 16, Math.min(maxMapnr, 0xffffffff), le);
  view.setInt32(main + 36, 2, le);

  const number = (at: number, value: number) =>
    wide ? view.setBigUint64(block + at, BigInt(value), le) : view.setUint32(block + at, value, le);
  if (wide) view.setBigUint64(block, BigInt.asUintN(64, spec.physBase ?? 0n), le);
  else view.setUint32(block, Number(spec.physBase ?? 0n), le);
  view.setInt32(block + sub.dumpLevel, 31, le);
  if (spec.split !== undefined && version >= 2) {
    view.setInt32(block + sub.split, 1, le);
    number(sub.start, spec.split[0]);
    number(sub.end, spec.split[1]);
  }
  if (version >= 3 && vmcoreinfo.length > 0) {
    view.setBigUint64(block + sub.vmcoreinfo, BigInt(noteAt + notes.length), le);
    number(sub.vmcoreinfo + 8, vmcoreinfo.length);
  }
  if (version >= 4 && notes.length > 0) {
    view.setBigUint64(block + sub.note, BigInt(noteAt), le);
    number(sub.note + 8, notes.length);
  }
  if (version >= 6) {
    view.setBigUint64(block + sub.start64, BigInt(spec.split?.[0] ?? 0), le);
    view.setBigUint64(block + sub.start64 + 8, BigInt(spec.split?.[1] ?? 0), le);
    view.setBigUint64(block + sub.start64 + 16, BigInt(maxMapnr), le);
  }
  // What a later version has there means nothing in an earlier one.
  const ends = [
    wordSize,
    sub.dumpLevel + 4,
    sub.end + wordSize,
    sub.vmcoreinfo + 8 + wordSize,
    sub.note + 8 + wordSize,
  ];
  bytes.fill(0xee, block + (ends[version] ?? (version === 5 ? sub.start64 : sub.size)), block + sub.size);
  bytes.set(notes, noteAt);
  bytes.set(vmcoreinfo, noteAt + notes.length);

  const setBit = (base: number, pfn: number) => {
    bytes[base + (pfn >> 3)] = (bytes[base + (pfn >> 3)] ?? 0) | (1 << (pfn & 7));
  };
  for (const pfn of [...(spec.excluded ?? []), ...spec.pages.keys()]) if (bitmaps === 2) setBit(bitmapsAt, pfn);
  for (const pfn of spec.pages.keys()) setBit(descriptorsAt - bitmapBytes, pfn);

  const placed = new Map<Uint8Array, number>();
  let dataAt = descriptorsAt + own.length * 24;
  own.forEach(([, page], rank) => {
    const at = descriptorsAt + rank * 24;
    if (page === 'lost') {
      view.setUint32(at + 8, 100, le);
      return;
    }
    let offset = placed.get(page.data);
    if (offset === undefined) {
      offset = dataAt;
      placed.set(page.data, offset);
      bytes.set(page.data, offset);
      dataAt += page.data.length;
    }
    view.setBigUint64(at, BigInt(offset), le);
    view.setUint32(at + 8, page.data.length, le);
    view.setUint32(at + 12, page.flags, le);
  });
  return bytes;
}
