import { type ByteSource, readExactly, readUpTo } from '../bytes/byte-source.js';
import { ExhumeError } from '../bytes/errors.js';
import { bytesOf, matches } from '../bytes/search.js';
import { type DecodedStruct, i32, i64, size64, structTable, text, u32, u64, viewOf } from '../bytes/struct-table.js';

/**
 * The headers of diskdump and kdump-compressed files. They are C structures as the writing machine lays them out,
 * so there are three layouts of them, in two byte orders. Source: makedumpfile's diskdump_mod.h, QEMU's dump.h.
 */

const COMMON = {
  signature: text(0, 8),
  header_version: i32(8),
  'utsname.sysname': text(12, 65),
  'utsname.nodename': text(77, 65),
  'utsname.release': text(142, 65),
  'utsname.version': text(207, 65),
  'utsname.machine': text(272, 65),
  'utsname.domainname': text(337, 65),
};

export const HEADER_64 = structTable('disk_dump_header', 464, {
  ...COMMON,
  'timestamp.tv_sec': i64(408),
  'timestamp.tv_usec': i64(416),
  status: u32(424),
  block_size: i32(428),
  sub_hdr_size: i32(432),
  bitmap_blocks: u32(436),
  max_mapnr: u32(440),
  total_ram_blocks: u32(444),
  device_blocks: u32(448),
  written_blocks: u32(452),
  current_cpu: u32(456),
  nr_cpus: i32(460),
});

export const HEADER_32 = structTable('disk_dump_header', 452, {
  ...COMMON,
  'timestamp.tv_sec': i32(404),
  'timestamp.tv_usec': i32(408),
  status: u32(412),
  block_size: i32(416),
  sub_hdr_size: i32(420),
  bitmap_blocks: u32(424),
  max_mapnr: u32(428),
  total_ram_blocks: u32(432),
  device_blocks: u32(436),
  written_blocks: u32(440),
  current_cpu: u32(444),
  nr_cpus: i32(448),
});

export const SUB_HEADER_64 = structTable('kdump_sub_header', 104, {
  phys_base: u64(0),
  dump_level: i32(8),
  split: i32(12),
  start_pfn: size64(16),
  end_pfn: size64(24),
  offset_vmcoreinfo: size64(32),
  size_vmcoreinfo: size64(40),
  offset_note: size64(48),
  size_note: size64(56),
  offset_eraseinfo: size64(64),
  size_eraseinfo: size64(72),
  start_pfn_64: size64(80),
  end_pfn_64: size64(88),
  max_mapnr_64: size64(96),
});

/** 32-bit machines that align 64-bit numbers to 4 bytes (i386), and QEMU for all 32-bit machines. */
export const SUB_HEADER_32_PACKED = structTable('kdump_sub_header', 80, {
  phys_base: u32(0),
  dump_level: i32(4),
  split: i32(8),
  start_pfn: u32(12),
  end_pfn: u32(16),
  offset_vmcoreinfo: size64(20),
  size_vmcoreinfo: u32(28),
  offset_note: size64(32),
  size_note: u32(40),
  offset_eraseinfo: size64(44),
  size_eraseinfo: u32(52),
  start_pfn_64: size64(56),
  end_pfn_64: size64(64),
  max_mapnr_64: size64(72),
});

/** 32-bit machines that align 64-bit numbers to 8 bytes (ARM, MIPS, PowerPC). */
export const SUB_HEADER_32_ALIGNED = structTable('kdump_sub_header', 96, {
  phys_base: u32(0),
  dump_level: i32(4),
  split: i32(8),
  start_pfn: u32(12),
  end_pfn: u32(16),
  offset_vmcoreinfo: size64(24),
  size_vmcoreinfo: u32(32),
  offset_note: size64(40),
  size_note: u32(48),
  offset_eraseinfo: size64(56),
  size_eraseinfo: u32(64),
  start_pfn_64: size64(72),
  end_pfn_64: size64(80),
  max_mapnr_64: size64(88),
});

/** The header version from which on a field of the sub header means something. */
const SINCE: Readonly<Record<string, number>> = {
  phys_base: 0,
  dump_level: 1,
  split: 2,
  start_pfn: 2,
  end_pfn: 2,
  offset_vmcoreinfo: 3,
  size_vmcoreinfo: 3,
  offset_note: 4,
  size_note: 4,
  offset_eraseinfo: 5,
  size_eraseinfo: 5,
  start_pfn_64: 6,
  end_pfn_64: 6,
  max_mapnr_64: 6,
};

/** In `status` of a kdump header (makedumpfile.h): flags. */
export const STATUS_INCOMPLETE = 0x8;
export const STATUS_EXCLUDED_VMEMMAP = 0x10;

export type SubHeaderLayout = '64-bit' | '32-bit packed' | '32-bit aligned';

const SUB_HEADERS = {
  '64-bit': SUB_HEADER_64,
  '32-bit packed': SUB_HEADER_32_PACKED,
  '32-bit aligned': SUB_HEADER_32_ALIGNED,
} as const;

/** The fields of the sub header that exhume goes by; 0 where the header version has none. Sizes and offsets in bytes. */
export interface SubHeader {
  readonly phys_base: bigint;
  readonly dump_level: number;
  readonly split: number;
  readonly start_pfn: number;
  readonly end_pfn: number;
  readonly offset_vmcoreinfo: number;
  readonly size_vmcoreinfo: number;
  readonly offset_note: number;
  readonly size_note: number;
  readonly offset_eraseinfo: number;
  readonly size_eraseinfo: number;
  readonly start_pfn_64: number;
  readonly end_pfn_64: number;
  readonly max_mapnr_64: number;
}

/** Both headers of a file, with how they are laid out. */
export interface DiskdumpHeader {
  readonly signature: 'KDUMP   ' | 'DISKDUMP';
  readonly wordBits: 32 | 64;
  readonly littleEndian: boolean;
  readonly version: number;
  /** `uname -m` as written; may be empty, or QEMU's `Unknown`. */
  readonly machine: string;
  readonly release: string;
  readonly status: number;
  readonly blockSize: number;
  /** Blocks between the first one and the bitmaps. */
  readonly subHeaderBlocks: number;
  /** Blocks of both bitmaps together. */
  readonly bitmapBlocks: number;
  readonly maxMapnr: number;
  readonly subHeaderLayout: SubHeaderLayout;
  readonly sub: SubHeader;
  /** Field by field; of the sub header only what the version has. */
  readonly structures: readonly DecodedStruct[];
}

const SIGNATURES = ['KDUMP   ', 'DISKDUMP'] as const;

/** Which signature it begins with, if any. */
export function diskdumpSignature(head: Uint8Array): 'KDUMP   ' | 'DISKDUMP' | undefined {
  return SIGNATURES.find((signature) => matches(head, 0, bytesOf(signature)));
}

/** Reads both headers, and finds out how they are laid out. Throws EXH_BAD_HEADER or EXH_TRUNCATED. */
export function readDiskdumpHeader(source: ByteSource): DiskdumpHeader {
  const bytes = readExactly(source, 0, HEADER_64.size, 'kdump header');
  const signature = diskdumpSignature(bytes);
  if (signature === undefined) throw badHeader(source, 'signature', 0, 'KDUMP or DISKDUMP', 'something else');
  const view = viewOf(bytes);
  const { wordBits, littleEndian } = mainLayout(source, view);
  const table = wordBits === 64 ? HEADER_64 : HEADER_32;
  const header = table.read(view, 0, littleEndian);
  const version = header.header_version;
  const structures = [table.decode(view, 0, 0, littleEndian)];

  const machine = header['utsname.machine'];
  const subBytes = readUpTo(source, header.block_size, SUB_HEADER_64.size);
  const subHeaderLayout = wordBits === 64 ? '64-bit' : subLayout32(source, subBytes, version, littleEndian, machine);
  const subTable = SUB_HEADERS[subHeaderLayout];
  let sub: SubHeader = NO_SUB_HEADER;
  if (signature === 'KDUMP   ') {
    const padded = new Uint8Array(SUB_HEADER_64.size);
    padded.set(subBytes);
    sub = fieldsOf(subTable.read(viewOf(padded), 0, littleEndian), version);
    if (subBytes.length >= subTable.size) {
      const decoded = subTable.decode(viewOf(subBytes), 0, header.block_size, littleEndian);
      structures.push({ ...decoded, fields: decoded.fields.filter(({ name }) => (SINCE[name] ?? 0) <= version) });
    }
  }
  return {
    signature,
    wordBits,
    littleEndian,
    version,
    machine,
    release: header['utsname.release'],
    status: header.status,
    blockSize: header.block_size,
    subHeaderBlocks: header.sub_hdr_size,
    bitmapBlocks: header.bitmap_blocks,
    maxMapnr: version >= 6 && sub.max_mapnr_64 > 0 ? sub.max_mapnr_64 : header.max_mapnr,
    subHeaderLayout,
    sub,
    structures,
  };
}

const NO_SUB_HEADER = fieldsOf({}, -1);

function fieldsOf(values: Readonly<Record<string, number | bigint>>, version: number): SubHeader {
  const field = (name: string) => (version >= (SINCE[name] ?? 0) ? Number(values[name] ?? 0) : 0);
  return {
    phys_base: version >= 0 ? BigInt(values['phys_base'] ?? 0) : 0n,
    dump_level: field('dump_level'),
    split: field('split'),
    start_pfn: field('start_pfn'),
    end_pfn: field('end_pfn'),
    offset_vmcoreinfo: field('offset_vmcoreinfo'),
    size_vmcoreinfo: field('size_vmcoreinfo'),
    offset_note: field('offset_note'),
    size_note: field('size_note'),
    offset_eraseinfo: field('offset_eraseinfo'),
    size_eraseinfo: field('size_eraseinfo'),
    start_pfn_64: field('start_pfn_64'),
    end_pfn_64: field('end_pfn_64'),
    max_mapnr_64: field('max_mapnr_64'),
  };
}

interface MainLayout {
  readonly wordBits: 32 | 64;
  readonly littleEndian: boolean;
}

const MAIN_LAYOUTS: readonly MainLayout[] = [
  { wordBits: 64, littleEndian: true },
  { wordBits: 32, littleEndian: true },
  { wordBits: 64, littleEndian: false },
  { wordBits: 32, littleEndian: false },
];

/**
 * Nothing says how the header is laid out, so the layout is the one in which it makes sense:
 * a small version, a block size that is a power of two, and bitmaps that fit the number of pages.
 */
function mainLayout(source: ByteSource, view: DataView): MainLayout {
  let best: MainLayout | undefined;
  let bestScore = 0;
  for (const layout of MAIN_LAYOUTS) {
    const table = layout.wordBits === 64 ? HEADER_64 : HEADER_32;
    const header = table.read(view, 0, layout.littleEndian);
    if (!isBlockSize(header.block_size)) continue;
    let score = 1;
    if (header.header_version >= 0 && header.header_version <= 100) score += 4;
    if (header.sub_hdr_size >= 1 && header.sub_hdr_size * header.block_size <= source.size) score += 2;
    const covered = header.bitmap_blocks * header.block_size * 8;
    if (
      header.bitmap_blocks > 0 &&
      (1 + header.sub_hdr_size + header.bitmap_blocks) * header.block_size <= source.size
    ) {
      score += 2;
    }
    if (header.max_mapnr > 0 && header.max_mapnr <= covered) score += 2;
    if (score > bestScore) {
      best = layout;
      bestScore = score;
    }
  }
  if (best === undefined) {
    throw badHeader(source, 'block_size', 428, 'a power of two', `${view.getInt32(428, true)}`);
  }
  const table = best.wordBits === 64 ? HEADER_64 : HEADER_32;
  const header = table.read(view, 0, best.littleEndian);
  const field = (name: 'header_version' | 'sub_hdr_size' | 'bitmap_blocks', expected: string) =>
    badHeader(source, name, table.fields[name].offset, expected, `${header[name]}`);
  if (header.header_version < 0 || header.header_version > 100) throw field('header_version', '0 to 6');
  if (header.sub_hdr_size < 0 || header.sub_hdr_size * header.block_size > source.size) {
    throw field('sub_hdr_size', 'blocks that are in the file');
  }
  if (header.bitmap_blocks === 0) throw field('bitmap_blocks', 'at least 1');
  return best;
}

/** Pages of 1 KiB to 2 MiB: the kernel has 4 to 256 KiB. */
function isBlockSize(size: number): boolean {
  return size >= 1024 && size <= 2 * 1024 * 1024 && (size & (size - 1)) === 0;
}

/** i386 packs the sub header, other 32-bit machines align it, QEMU packs it for all: what points into the file is right. */
function subLayout32(
  source: ByteSource,
  bytes: Uint8Array,
  version: number,
  littleEndian: boolean,
  machine: string,
): SubHeaderLayout {
  const packs = machine === '' || machine === 'Unknown' || /^i\d86$/.test(machine);
  const preferred: readonly SubHeaderLayout[] = packs
    ? ['32-bit packed', '32-bit aligned']
    : ['32-bit aligned', '32-bit packed'];
  const score = (layout: SubHeaderLayout): number => {
    const table = SUB_HEADERS[layout];
    if (bytes.length < table.size) return 0;
    const sub = fieldsOf(table.read(viewOf(bytes), 0, littleEndian), version);
    const area = (offset: number, size: number) =>
      (offset === 0 && size === 0) || (offset > 0 && size > 0 && offset + size <= source.size) ? 1 : 0;
    return (
      area(sub.offset_vmcoreinfo, sub.size_vmcoreinfo) +
      area(sub.offset_note, sub.size_note) +
      area(sub.offset_eraseinfo, sub.size_eraseinfo) +
      (sub.end_pfn_64 <= sub.max_mapnr_64 && sub.max_mapnr_64 <= 2 ** 40 ? 1 : 0)
    );
  };
  const [first, second] = preferred as [SubHeaderLayout, SubHeaderLayout];
  return score(second) > score(first) ? second : first;
}

function badHeader(source: ByteSource, field: string, offset: number, expected: string, found: string): ExhumeError {
  return new ExhumeError('EXH_BAD_HEADER', `${source.name}: kdump ${field} is ${found}, expected ${expected}`, {
    file: source.name,
    offset,
    expected,
    found,
  });
}
