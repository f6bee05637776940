import { viewOf } from '../bytes/struct-table.js';
import type { CompressionMethod } from '../codecs/codec.js';
import type { DumpDescription } from './description.js';
import { HEADER_64, SUB_HEADER_64 } from './diskdump-header.js';
import { PAGE_COMPRESSION } from './diskdump-memory.js';
import { serializeNotes } from './notes.js';

/** How pages are compressed, and which of them a file holds. */
export interface KdumpOptions {
  /** For the header's `status`; undefined: not at all. */
  readonly compression: CompressionMethod | undefined;
  /** The file is a member of a set, and holds these pages only: from `start` to before `end`. */
  readonly split?: { readonly start: number; readonly end: number };
}

/** Where things are in a kdump file. */
export interface KdumpPlace {
  /** First page frame number that no bitmap has. */
  readonly maxMapnr: number;
  /** Blocks between the first one and the bitmaps. */
  readonly subHeaderBlocks: number;
  /** Blocks of both bitmaps together. */
  readonly bitmapBlocks: number;
  /** File offset of the notes, in bytes. */
  readonly notesAt: number;
}

/** The header version that is written: the one with 64-bit page numbers. */
const VERSION = 6;

/** The place of everything in a new file: the notes behind the sub header, as makedumpfile and QEMU put them. */
export function kdumpPlace(pageSize: number, maxMapnr: number, notes: Uint8Array): KdumpPlace {
  const bitmapBlocks = Math.ceil(Math.ceil(maxMapnr / 8) / pageSize);
  return {
    maxMapnr,
    subHeaderBlocks: Math.ceil((SUB_HEADER_64.size + notes.length) / pageSize),
    bitmapBlocks: 2 * bitmapBlocks,
    notesAt: pageSize + SUB_HEADER_64.size,
  };
}

/**
 * Both headers of a kdump-compressed file (makedumpfile's diskdump_mod.h), version 6, 64-bit, little-endian: a block and
 * the sub header behind it.
 * What diskdump had and kdump has no use for (total_ram_blocks to written_blocks, current_cpu, tasks) is 0, as in
 * makedumpfile's files.
 */
export function kdumpHeaders(description: DumpDescription, place: KdumpPlace, options: KdumpOptions): Uint8Array {
  const { pageSize, utsname, timestamp, notes } = description;
  const bytes = new Uint8Array(pageSize + SUB_HEADER_64.size);
  const view = viewOf(bytes);
  HEADER_64.write(view, 0, {
    signature: 'KDUMP   ',
    header_version: VERSION,
    'utsname.sysname': utsname.sysname,
    'utsname.nodename': utsname.nodename,
    'utsname.release': utsname.release,
    'utsname.version': utsname.version,
    'utsname.machine': utsname.machine,
    'utsname.domainname': utsname.domainname,
    'timestamp.tv_sec': BigInt(timestamp.seconds),
    'timestamp.tv_usec': BigInt(timestamp.microseconds),
    status: PAGE_COMPRESSION.find(([, method]) => method === options.compression)?.[0] ?? 0,
    block_size: pageSize,
    sub_hdr_size: place.subHeaderBlocks,
    bitmap_blocks: place.bitmapBlocks,
    max_mapnr: Math.min(place.maxMapnr, 0xffff_ffff),
    nr_cpus: description.cpus,
  });
  const { bytes: noteBytes, descriptionsAt } = serializeNotes(notes);
  const textIndex = notes.findLastIndex(({ name }) => name === 'VMCOREINFO');
  const split = options.split;
  SUB_HEADER_64.write(view, pageSize, {
    phys_base: BigInt.asUintN(64, description.physBase ?? 0n),
    dump_level: description.dumpLevel,
    split: split === undefined ? 0 : 1,
    start_pfn: Math.min(split?.start ?? 0, 0xffff_ffff),
    end_pfn: Math.min(split?.end ?? 0, 0xffff_ffff),
    offset_vmcoreinfo: textIndex < 0 ? 0 : place.notesAt + (descriptionsAt[textIndex] as number),
    size_vmcoreinfo: notes[textIndex]?.description.length ?? 0,
    offset_note: noteBytes.length === 0 ? 0 : place.notesAt,
    size_note: noteBytes.length,
    start_pfn_64: split?.start ?? 0,
    end_pfn_64: split?.end ?? 0,
    max_mapnr_64: place.maxMapnr,
  });
  return bytes;
}
