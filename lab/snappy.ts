/**
 * A dump with snappy pages. Debian's makedumpfile is built without snappy, so the container is rewritten here around
 * pages that Google's own library compressed (through Python, in the chroot). crash reads the result.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { inForky } from './chroot.js';
import { LabError, run } from './shell.js';

/** Reads pages from one file, and writes each compressed, after its length, to another. */
const COMPRESS = `
import snappy, struct, sys
with open(sys.argv[1], 'rb') as pages, open(sys.argv[2], 'wb') as out:
    while page := pages.read(4096):
        data = snappy.compress(page)
        out.write(struct.pack('<I', len(data)) + data)
`;

const PAGE = 4096;
const DESCRIPTOR = 24;
const STATUS_OFFSET = 424;
const SNAPPY = 4;

/** Turns a kdump file with plain pages into one with snappy pages. */
export function transcodeToSnappy(plain: string, output: string): void {
  const dump = readFileSync(plain);
  if (dump.toString('latin1', 0, 8) !== 'KDUMP   ' || dump.readUInt32LE(STATUS_OFFSET) !== 0) {
    throw new LabError(`${plain} is not a kdump file with plain pages`);
  }
  const blocksBefore = 1 + dump.readInt32LE(432);
  const bitmapBlocks = dump.readUInt32LE(436);
  const table = (blocksBefore + bitmapBlocks) * PAGE;
  const present = dump.subarray((blocksBefore + bitmapBlocks / 2) * PAGE, table);
  const descriptors = present.reduce((count, byte) => count + bits(byte), 0);

  // All zero pages share one place in the file.
  const places = new Set<number>();
  for (let index = 0; index < descriptors; index++) {
    places.add(Number(dump.readBigInt64LE(table + index * DESCRIPTOR)));
  }
  const compressed = compress(
    [...places].map((place) => dump.subarray(place, place + PAGE)),
    `${output}.scratch`,
  );

  const head = Buffer.from(dump.subarray(0, table + descriptors * DESCRIPTOR));
  head.writeUInt32LE(SNAPPY, STATUS_OFFSET);
  const pages: Uint8Array[] = [];
  const moved = new Map<number, { offset: number; size: number; flags: number }>();
  let end = head.length;
  for (const [index, place] of [...places].entries()) {
    const small = compressed[index];
    if (small === undefined) throw new LabError('a page is missing from what snappy gave back');
    const packed = small.length < PAGE;
    const page = packed ? small : dump.subarray(place, place + PAGE);
    moved.set(place, { offset: end, size: page.length, flags: packed ? SNAPPY : 0 });
    pages.push(page);
    end += page.length;
  }
  for (let index = 0; index < descriptors; index++) {
    const at = table + index * DESCRIPTOR;
    const page = moved.get(Number(dump.readBigInt64LE(at)));
    if (page === undefined) throw new LabError('a page was not moved');
    head.writeBigInt64LE(BigInt(page.offset), at);
    head.writeUInt32LE(page.size, at + 8);
    head.writeUInt32LE(page.flags, at + 12);
  }
  writeFileSync(output, Buffer.concat([head, ...pages]));
}

function compress(pages: readonly Uint8Array[], scratch: string): Uint8Array[] {
  const result = `${scratch}.out`;
  writeFileSync(scratch, Buffer.concat(pages));
  const { command, args } = inForky([dirname(scratch)], 'python3', ['-c', COMPRESS, scratch, result]);
  run(command, args);
  const data = readFileSync(result);
  for (const file of [scratch, result]) rmSync(file);
  const compressed: Uint8Array[] = [];
  for (let at = 0; at < data.length; ) {
    const size = data.readUInt32LE(at);
    compressed.push(data.subarray(at + 4, at + 4 + size));
    at += 4 + size;
  }
  return compressed;
}

function bits(byte: number): number {
  let count = 0;
  for (let rest = byte; rest !== 0; rest &= rest - 1) count++;
  return count;
}
