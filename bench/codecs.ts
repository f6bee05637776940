/**
 * `npm run bench:codecs [DUMP]`: what encoders and decoders take for a page, in µs of CPU time, and what the encoders make
 * of all pages together. The dump is the lab's vmcore without an argument; every so many of its pages are taken.
 */

import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { sceneDirectory } from '../lab/directories.js';
import type { Pfn } from '../src/bytes/address.js';
import { COMPRESSION_METHODS, type CompressionMethod, type Encoder } from '../src/codecs/codec.js';
import { nodeDecoders, nodeEncoder } from '../src/codecs/node.js';
import { openDumpFiles } from '../src/dump/node.js';

const PAGES = 5000;
const ROUNDS = 5;

/** Pages that are present and not all zeros, spread over the dump. */
function samplePages(file: string): Uint8Array[] {
  const { memory } = openDumpFiles([file]);
  const { pageSize } = memory;
  const step = Math.max(1, Math.floor(memory.presentBytes() / pageSize / PAGES / 2));
  const pages: Uint8Array[] = [];
  let seen = 0;
  for (const { start, end } of memory.presentRanges()) {
    for (let pfn = Math.ceil(start / pageSize); pfn < Math.floor(end / pageSize); pfn++) {
      if (seen++ % step !== 0) continue;
      const page = memory.peek(pfn as Pfn);
      if (typeof page !== 'string' && page.some((byte) => byte !== 0)) pages.push(page.slice());
    }
  }
  return pages;
}

/** The least of some rounds: what else the machine does only adds to it. */
function microseconds(times: number, work: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const { user } = process.cpuUsage();
    work();
    least = Math.min(least, process.cpuUsage().user - user);
  }
  return least / times;
}

const deflateByNode: Encoder = (page, into) => {
  const made = deflateSync(page, { level: 1 });
  if (made.length > into.length) return 0;
  into.set(made);
  return made.length;
};

const pages = samplePages(process.argv[2] ?? join(sceneDirectory('kdump'), 'vmcore.elf'));
const contenders: [string, CompressionMethod, Encoder][] = [
  ...COMPRESSION_METHODS.map((method): [string, CompressionMethod, Encoder] => [method, method, nodeEncoder(method)]),
  ['zstd 2', 'zstd', nodeEncoder('zstd', 2)],
  ['zlib by node:zlib', 'zlib', deflateByNode],
];
const plain = pages.reduce((sum, page) => sum + page.length, 0);
console.log(`Node ${process.version}, ${pages.length} pages`);
console.log('| method | encode µs/page | size | decode µs/page |');
console.log('|---|---|---|---|');
for (const [name, method, encode] of contenders) {
  const into = new Uint8Array((pages[0] as Uint8Array).length - 1);
  const compressed: { readonly data: Uint8Array; readonly size: number }[] = [];
  let total = 0;
  for (const page of pages) {
    const size = encode(page, into);
    total += size === 0 ? page.length : size;
    if (size > 0) compressed.push({ data: into.slice(0, size), size: page.length });
  }
  const encoding = microseconds(pages.length, () => {
    for (const page of pages) encode(page, into);
  });
  const back = new Uint8Array(into.length + 1);
  const decoding = microseconds(compressed.length, () => {
    for (const { data, size } of compressed) nodeDecoders[method](data, back.subarray(0, size));
  });
  const share = ((100 * total) / plain).toFixed(2);
  console.log(`| ${name} | ${encoding.toFixed(1)} | ${share} % | ${decoding.toFixed(1)} |`);
}
