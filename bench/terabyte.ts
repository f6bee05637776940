/** The dump of a machine with 1 TiB of memory, made out of a real dump of a small one. */

import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { Pfn } from '../src/bytes/address.js';
import type { Note } from '../src/dump/container.js';
import { openDumpFiles } from '../src/dump/node.js';
import { writeKdump } from '../src/dump/testing/kdump-writer.js';

const PAGE = 4096;
const PAGES = 2 ** 40 / PAGE;
const BITMAP = PAGES / 8;
const DESCRIPTOR = 24;

/**
 * Writes a kdump file of 1 TiB of memory: the pages of the small dump where they were, and after them pages which the
 * bitmaps say are in the file and whose descriptors and data are holes of a sparse file. It takes 64 MiB of disk for the
 * bitmaps, as they are in a real one, and what the small dump's pages take.
 */
export function writeTerabyteDump(small: string, path: string): void {
  const container = openDumpFiles([small]);
  const head = header(
    container.notes.filter(({ name }) => name !== 'VMCOREINFO'),
    container.vmcoreinfo,
  );
  const file = openSync(path, 'w');
  try {
    writeSync(file, head, 0, head.length, 0);
    const piece = new Uint8Array(1 << 20).fill(0xff);
    for (let at = 0; at < 2 * BITMAP; at += piece.length) writeSync(file, piece, 0, piece.length, head.length + at);
    const descriptorsAt = head.length + 2 * BITMAP;
    const dataAt = descriptorsAt + PAGES * DESCRIPTOR;
    let written = 0;
    for (const { start, end } of container.memory.ranges()) {
      for (let pfn = start / PAGE; pfn < Math.min(end / PAGE, PAGES); pfn++) {
        const page = container.memory.page(pfn as Pfn);
        if (typeof page === 'string') continue;
        const offset = dataAt + written * PAGE;
        writeSync(file, page, 0, PAGE, offset);
        writeSync(file, pageDescriptor(offset), 0, DESCRIPTOR, descriptorsAt + pfn * DESCRIPTOR);
        written++;
      }
    }
    // As long as a real one of half-compressible memory would be.
    ftruncateSync(file, dataAt + 2 ** 39);
  } finally {
    closeSync(file);
  }
}

/** The two header blocks and the notes, with the counts of a 1 TiB machine. */
function header(notes: readonly Note[], vmcoreinfo: Uint8Array | undefined): Uint8Array {
  const empty = writeKdump({
    layout: '64-bit',
    littleEndian: true,
    version: 6,
    maxMapnr: 0,
    pages: new Map(),
    notes: Buffer.concat(notes.map(encodeNote)),
    ...(vmcoreinfo !== undefined && { vmcoreinfo }),
  });
  const view = new DataView(empty.buffer, empty.byteOffset, empty.byteLength);
  view.setUint32(436, (2 * BITMAP) / PAGE, true);
  view.setUint32(440, PAGES, true);
  view.setBigUint64(PAGE + 96, BigInt(PAGES), true);
  return empty;
}

function pageDescriptor(offset: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(DESCRIPTOR));
  view.setBigUint64(0, BigInt(offset), true);
  view.setUint32(8, PAGE, true);
  return new Uint8Array(view.buffer);
}

function encodeNote({ name, type, description }: Note): Buffer {
  const padded = (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
  const owner = Buffer.from(`${name}\0`);
  const head = Buffer.alloc(12);
  head.writeUInt32LE(owner.length, 0);
  head.writeUInt32LE(description.length, 4);
  head.writeUInt32LE(type, 8);
  return Buffer.concat([head, padded(owner), padded(description)]);
}
