import { hex } from '../bytes/address.js';
import type { ByteSource } from '../bytes/byte-source.js';
import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { CachedSource } from './cached-source.js';
import type { Container, HeaderFact } from './container.js';
import { DamageLog } from './damage-log.js';
import { SegmentMemory } from './segment-memory.js';

/** A part of a raw image: all in bytes. */
export interface RawRange {
  /** Physical address of its first byte. */
  readonly physical: number;
  readonly fileOffset: number;
  readonly size: number;
}

export interface RawOptions {
  readonly cacheBytes: number;
  /** Where the parts belong; without, byte 0 of the file is physical address 0. */
  readonly ranges?: readonly RawRange[] | undefined;
  /** Why the file is taken for physical memory. */
  readonly evidence: string;
}

const PAGE_SIZE = 4096;
const MEBIBYTE = 1024 * 1024;

/** Opens a raw memory image: no header, no notes; only memory. Throws EXH_USAGE for ranges that cannot be. */
export function openRaw(source: ByteSource, options: RawOptions): Container {
  const damage = new DamageLog();
  const ranges = options.ranges ?? [{ physical: 0, fileOffset: 0, size: source.size }];
  for (const range of ranges) checkRange(range);
  if (options.ranges === undefined && source.size % PAGE_SIZE !== 0) {
    damage.add(
      'EXH_TRUNCATED',
      'memory',
      `${source.name}: ${source.size} bytes are no whole number of ${PAGE_SIZE}-byte pages: it was cut off`,
    );
  }
  const end = Math.max(0, ...ranges.map((range) => range.fileOffset + range.size));
  if (end > source.size) {
    damage.add(
      'EXH_TRUNCATED',
      'memory',
      `${source.name}: the map of ranges reaches to byte ${end}, the file has ${source.size}: the pages behind are lost`,
    );
  }
  const sizes = Float64Array.from(ranges, (range) => range.size);
  const memory = new SegmentMemory(
    new CachedSource(source, options.cacheBytes),
    {
      physical: Float64Array.from(ranges, (range) => range.physical),
      fileOffset: Float64Array.from(ranges, (range) => range.fileOffset),
      fileSize: sizes,
      memorySize: sizes,
    },
    PAGE_SIZE,
  );
  return {
    format: 'raw',
    description: options.ranges === undefined ? 'raw memory image' : `raw memory image in ${ranges.length} ranges`,
    flattened: false,
    files: [source.name],
    littleEndian: true,
    wordBits: 64,
    claimedMachine: undefined,
    memory,
    notes: [],
    vmcoreinfo: undefined,
    claimedPhysBase: undefined,
    spans: [],
    incomplete: damage.entries.length > 0,
    facts: [
      { name: 'evidence', value: options.evidence },
      { name: 'size', value: source.size, note: 'bytes' },
      ...ranges.map(
        ({ physical, fileOffset, size }): HeaderFact => ({
          name: 'range',
          value: `${hex(physical)}-${hex(physical + Math.max(0, size - 1))}`,
          note: `at file offset ${hex(fileOffset)}`,
        }),
      ),
    ],
    structures: [],
    damage: damage.entries,
  };
}

function checkRange({ physical, fileOffset, size }: RawRange): void {
  const fits = [physical, fileOffset, size].every((value) => Number.isSafeInteger(value) && value >= 0);
  if (fits && size > 0 && physical + size <= 2 ** 52 && Number.isSafeInteger(fileOffset + size)) return;
  throw new ExhumeError(
    'EXH_USAGE',
    `a range of ${size} bytes at physical address ${physical} from file offset ${fileOffset} cannot be`,
    { address: physical, hint: 'whole numbers from 0; at least 1 byte; physical addresses below 2^52' },
  );
}

/**
 * Reads a map of ranges: `START-END@OFFSET`, separated by commas or white space; numbers as in C (`0x…` or decimal).
 * END is the last byte, as in /proc/iomem. Throws EXH_USAGE.
 *
 *     0x0-0x9fbff@0x0, 0x100000-0xbfffffff@0x100000, 0x100000000-0x13fffffff@0xc0000000
 */
export function parseRanges(text: string): RawRange[] {
  const parts = text.split(/[\s,]+/).filter((part) => part !== '');
  if (parts.length === 0) throw badRange(text);
  return parts.map((part) => {
    const match = /^(0x[0-9a-f]+|\d+)-(0x[0-9a-f]+|\d+)@(0x[0-9a-f]+|\d+)$/i.exec(part);
    if (match === null) throw badRange(part);
    const [start, last, fileOffset] = match.slice(1).map(Number) as [number, number, number];
    if (last < start) throw badRange(part);
    const range = { physical: start, fileOffset, size: last - start + 1 };
    checkRange(range);
    return range;
  });
}

function badRange(text: string): ExhumeError {
  return new ExhumeError('EXH_USAGE', `"${text}" is no range of a raw image`, {
    found: text,
    hint: 'START-END@OFFSET, END being the last byte: 0x0-0x9fbff@0x0,0x100000-0x7fffffff@0x100000',
  });
}

/**
 * Does a file without any signature look like the physical memory of a PC, from address 0 on? Says what speaks for it.
 *
 * A BIOS leaves two things in the first page, which Linux keeps: the interrupt vector table (256 far pointers, most
 * into the ROM at 0xc0000 to 0xfffff) and the BIOS data area (at 0x413 the size of base memory in KiB, at most 640).
 * With a size of whole MiB, at least 64 such vectors and a base memory of 512 to 640 KiB nothing else is likely.
 * A machine that was started by UEFI has neither: such an image must be named as raw.
 */
export function looksLikeRawMemory(source: ByteSource, head: Uint8Array): string | undefined {
  if (source.size < MEBIBYTE || source.size % MEBIBYTE !== 0 || head.length < 0x500) return undefined;
  const view = viewOf(head);
  let vectors = 0;
  for (let vector = 0; vector < 256; vector++) {
    const address = view.getUint16(vector * 4 + 2, true) * 16 + view.getUint16(vector * 4, true);
    if (address >= 0xc0000 && address <= 0xfffff) vectors++;
  }
  const baseMemory = view.getUint16(0x413, true);
  if (vectors < 64 || baseMemory < 512 || baseMemory > 640) return undefined;
  return `${vectors} of 256 interrupt vectors point into the BIOS, the BIOS data area says ${baseMemory} KiB, ${source.size / MEBIBYTE} MiB`;
}
