/**
 * `node dist/lab/sample.js DUMP OUT`: the sample in the repository, made from the dump of the scene `sample`. All of it but
 * most of the kernel's code, which is half of the file and the same in the kernel's own.
 */

import { describeDump } from '../src/convert/describe.js';
import { convert } from '../src/convert/node/conversion.js';
import { SingleCrew } from '../src/convert/node/crew.js';
import { inputPages } from '../src/convert/selection.js';
import { openDumpFiles } from '../src/dump/node.js';
import type { PageBitmap } from '../src/dump/page-bitmap.js';
import type { Kernel } from '../src/kernel/kernel.js';
import { keptPages } from '../src/report/keep.js';
import { openSubject, requireKernel, type Subject } from '../src/report/subject.js';

/** The repository's files are read by every Node, and often. */
const METHOD = 'zlib';
const LEVEL = 9;

/** All pages but those of code that no answer of exhume needs. */
function pagesOf(subject: Subject): PageBitmap {
  const { memory } = subject.container;
  const kernel = requireKernel(subject);
  const needed = keptPages(subject);
  const pages = inputPages(memory).written;
  for (const pfn of pfnsOfCode(kernel)) if (!needed.has(pfn)) pages.delete(pfn);
  return pages;
}

function* pfnsOfCode({ symbols, memory }: Kernel): Generator<number> {
  const [start, end] = [symbols.address('_stext'), symbols.address('_etext')];
  if (start === undefined || end === undefined) throw new Error('the kernel has no _stext or no _etext');
  const { pageSize } = memory.physical;
  for (let address = start; address < end; address = (address + BigInt(pageSize)) as typeof start) {
    const physical = memory.translate(address);
    if (physical !== undefined) yield Math.floor(physical / pageSize);
  }
}

const [dump, out] = process.argv.slice(2);
if (dump === undefined || out === undefined) throw new Error('node dist/lab/sample.js DUMP OUT');
const container = openDumpFiles([dump]);
const subject = openSubject(container);
const { description, memoryEnd } = describeDump(container, requireKernel(subject), 0);
const { files, pages } = await convert({
  memory: container.memory,
  verify: false,
  crew: new SingleCrew(container.memory),
  jobs: 1,
  exclusion: { zero: 'keep', classes: undefined, keep: pagesOf(subject), scrubbed: undefined },
  memoryEnd,
  settings: { method: METHOD, level: LEVEL, passThrough: false, blank: new Float64Array() },
  output: { name: out, format: 'kdump', compression: METHOD, split: 1 },
  description,
  dryRun: false,
  listener: () => {},
  signal: new AbortController().signal,
});
console.log(`${files[0]?.bytes} bytes, ${pages.written} of ${pages.described} pages`);
