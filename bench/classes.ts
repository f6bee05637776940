/**
 * How fast pages are classified: gigabytes of described memory a second, in processor time of one process, which other
 * work on the machine does not disturb. `node dist/bench/classes.js [DUMP...]`; without a dump, some of the lab's.
 */

import { join } from 'node:path';
import { sceneDirectory } from '../lab/directories.js';
import { openDumpFiles } from '../src/dump/node.js';
import { PageClassifier, readPageFacts } from '../src/kernel/memory/page-classes.js';
import { openKernels, selectKernel } from '../src/kernel/open.js';
import { openMachine } from '../src/machine/open.js';

const ROUNDS = 7;
/** Pages asked for at once: 128 MiB. */
const SPAN = 32_768;

const DUMPS: readonly (readonly [scene: string, file: string])[] = [
  ['memory-6.1', 'vmcore.elf'],
  ['memory-7.2', 'vmcore.elf'],
  ['rebooted-6.1-bare', 'dump.elf'],
  ['high', 'dump.kdump'],
];

/** Seconds for all of a dump, round by round: in the first one nothing is in any cache, and no code is compiled. */
function rounds(file: string): { readonly bytes: number; readonly seconds: readonly number[] } {
  const container = openDumpFiles([file]);
  const { memory } = container;
  const kernel = selectKernel(openKernels(openMachine(container)));
  const into = new Uint8Array(SPAN);
  let pages = 0;
  const seconds = Array.from({ length: ROUNDS }, () => {
    const start = process.cpuUsage();
    const classifier = new PageClassifier(kernel.memory, readPageFacts(kernel));
    pages = 0;
    for (const { start, end } of memory.ranges()) {
      const last = Math.ceil(end / memory.pageSize);
      for (let pfn = Math.floor(start / memory.pageSize); pfn < last; pfn += SPAN) {
        const count = Math.min(SPAN, last - pfn);
        classifier.classify(pfn, into.subarray(0, count));
        pages += count;
      }
    }
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1e6;
  });
  return { bytes: pages * memory.pageSize, seconds };
}

const files = process.argv.slice(2);
const named = DUMPS.map(([scene, file]) => [`${scene}/${file}`, join(sceneDirectory(scene), file)] as const);
console.log('| dump | memory | first time | again (median) |\n| --- | --- | --- | --- |');
for (const [title, file] of files.length > 0 ? files.map((file) => [file, file] as const) : named) {
  const { bytes, seconds } = rounds(file);
  const [first = 0, ...others] = seconds;
  const median = others.sort((a, b) => a - b)[others.length >> 1] ?? 0;
  const cell = (time: number): string => `${(time * 1e3).toFixed(0)} ms, ${(bytes / time / 1e9).toFixed(1)} GB/s`;
  console.log(`| ${title} | ${Math.round(bytes / 2 ** 20)} MiB | ${cell(first)} | ${cell(median)} |`);
}
