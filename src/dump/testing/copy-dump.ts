import type { Pfn } from '../../bytes/address.js';
import { concat } from '../../bytes/concat.js';
import type { DumpDescription } from '../description.js';
import type { DumpWriter } from '../dump-writer.js';
import type { PhysicalMemory } from '../memory.js';
import { PageBitmap } from '../page-bitmap.js';
import { type PageChunk, ZERO_PAGE } from '../page-chunk.js';
import type { PageSelection } from '../page-selection.js';

const ZEROS = new Uint8Array(65536);

/** Every page that is there is to be written, and everything else that is described is excluded. Asks for each page. */
export function selectionOf(memory: PhysicalMemory): PageSelection {
  const { pageSize } = memory;
  const length = Math.ceil((memory.ranges().at(-1)?.end ?? 0) / pageSize);
  const described = PageBitmap.empty(length);
  const written = PageBitmap.empty(length);
  for (const { start, end } of memory.ranges()) {
    for (let pfn = Math.floor(start / pageSize); pfn < Math.ceil(end / pageSize); pfn++) {
      const state = memory.state(pfn as Pfn);
      if (state !== 'absent') described.add(pfn);
      if (state === 'present') written.add(pfn);
    }
  }
  return { described, written, count: written.count() };
}

/** Compresses a page, with a page descriptor's flag for how; undefined: it does not get smaller. */
export type Compress = (page: Uint8Array) => { readonly flag: number; readonly bytes: Uint8Array } | undefined;

/** Writes the selected pages of a memory in chunks of so many, one thread and one page after another. */
export function copyPages(
  memory: PhysicalMemory,
  { written }: PageSelection,
  writer: DumpWriter,
  { compress = (() => undefined) as Compress, pagesPerChunk = 256 } = {},
): void {
  writer.begin();
  let pages: { readonly pfn: number; readonly flag: number; readonly bytes: Uint8Array }[] = [];
  for (const [start, end] of written.runs()) {
    for (let pfn = start; pfn < end; pfn++) {
      const page = memory.page(pfn as Pfn);
      if (typeof page === 'string') throw new Error(`page ${pfn} is ${page}`);
      if (isZero(page)) pages.push({ pfn, flag: ZERO_PAGE, bytes: new Uint8Array() });
      else pages.push({ pfn, ...(compress(page) ?? { flag: 0, bytes: page.slice() }) });
      if (pages.length === pagesPerChunk) {
        writer.write(chunkOf(pages));
        pages = [];
      }
    }
  }
  if (pages.length > 0) writer.write(chunkOf(pages));
  writer.end();
}

function isZero(page: Uint8Array): boolean {
  return Buffer.compare(page, ZEROS.subarray(0, page.length)) === 0;
}

function chunkOf(
  pages: readonly { readonly pfn: number; readonly flag: number; readonly bytes: Uint8Array }[],
): PageChunk {
  return {
    pfns: Float64Array.from(pages, ({ pfn }) => pfn),
    sizes: Uint32Array.from(pages, ({ bytes }) => bytes.length),
    flags: Uint32Array.from(pages, ({ flag }) => flag),
    data: concat(pages.map(({ bytes }) => bytes)),
  };
}

/** A description in which every field has a value of its own. */
export const DESCRIPTION: DumpDescription = {
  machine: 'x86_64',
  pageSize: 4096,
  utsname: {
    sysname: 'Linux',
    nodename: 'host',
    release: '6.1.0-56-cloud-amd64',
    version: '#1 SMP',
    machine: 'x86_64',
    domainname: '(none)',
  },
  timestamp: { seconds: 1_780_000_000, microseconds: 123_456 },
  physBase: -0x1000000n,
  cpus: 2,
  notes: [
    { name: 'CORE', type: 1, description: new Uint8Array(336).fill(1) },
    { name: 'CORE', type: 1, description: new Uint8Array(336).fill(2) },
    { name: 'QEMU', type: 0, description: new Uint8Array(440).fill(3) },
    { name: 'VMCOREINFO', type: 0, description: new TextEncoder().encode('OSRELEASE=6.1.0\nPAGESIZE=4096\n') },
  ],
  vmcoreinfo: new TextEncoder().encode('OSRELEASE=6.1.0\nPAGESIZE=4096\n'),
  dumpLevel: 17,
  directMap: 0xffff888000000000n,
  kernelText: { virtual: 0xffffffff81000000n, physical: 0x5000, size: 0x4000 },
};
