/**
 * `npm run bench:convert [DUMP...]`: what it costs to convert a dump that makedumpfile can read, beside makedumpfile on the
 * same input, to the same format, with the same compression: each of them with two threads, in turn. `--write` puts the
 * table into bench/README.md. Without a dump, the lab's.
 */

import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inForky } from '../lab/chroot.js';
import { labPath, sceneDirectory } from '../lab/directories.js';
import { type Contender, type Cost, compare } from './measure.js';

const EXHUME = fileURLToPath(new URL('../bin/main.cjs', import.meta.url));
const README = fileURLToPath(new URL('../../bench/README.md', import.meta.url));
const ROUNDS = 5;

const DUMPS: readonly (readonly [scene: string, file: string])[] = [
  ['kdump', 'vmcore.elf'],
  ['memory-6.1', 'vmcore.elf'],
];

/** Both at the level that is their default. */
const METHODS = [
  ['zlib', '-c'],
  ['zstd', '-z'],
] as const;
const LEVELS = ['0', '31'];

function row(...cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function measure(title: string, file: string, scratch: string): string[] {
  return METHODS.flatMap(([method, option]) =>
    LEVELS.map((level) => {
      const [ours, theirs, alone] = ['exhume', 'makedumpfile', 'alone'].map((name) => join(scratch, name)) as [
        string,
        string,
        string,
      ];
      const makedumpfile = (out: string, ...threads: string[]): Contender['command'] =>
        inForky([scratch, dirname(file)], 'makedumpfile', ['-f', option, '-d', level, ...threads, file, out]);
      const args = [EXHUME, 'convert', '--jobs', '2', '--compress', method, '-d', level, file, ours];
      const costs = compare(
        [
          { name: 'exhume', command: { command: process.execPath, args }, answer: 'MiB/s' },
          { name: 'two', command: makedumpfile(theirs, '--num-threads', '2'), answer: 'Completed' },
          { name: 'one', command: makedumpfile(alone), answer: 'Completed' },
        ],
        ROUNDS,
      );
      const own = costs.get('exhume');
      const size = `${((statSync(ours).size / statSync(theirs).size - 1) * 100).toFixed(1)} %`;
      const line = row(
        `${title}, ${method}, -d ${level}`,
        own === undefined ? 'cannot' : `${own.seconds.toFixed(2)} s, ${Math.round(own.memory / 1e6)} MB`,
        compared(costs.get('two'), own),
        compared(costs.get('one'), own),
        size,
      );
      console.error(line);
      return line;
    }),
  );
}

function compared(cost: Cost | undefined, own: Cost | undefined): string {
  if (cost === undefined || own === undefined) return 'cannot';
  return `${cost.seconds.toFixed(2)} s (${(cost.seconds / own.seconds).toFixed(1)}×)`;
}

const files = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const inputs =
  files.length > 0
    ? files.map((file) => [file, file] as const)
    : DUMPS.map(([scene, file]) => [`${scene}/${file}`, join(sceneDirectory(scene), file)] as const);
const scratch = labPath('scratch', `bench-${process.pid}`);
mkdirSync(scratch, { recursive: true });
try {
  const busy = loadavg()[0] ?? 0;
  const table = [
    `Node ${process.version}, ${cpus().length} CPUs, medians of ${ROUNDS} runs in turn; at the start ${busy.toFixed(1)} programs wanted to run.`,
    '',
    row('', 'exhume, 2 threads', 'makedumpfile 1.7.8, 2 threads', 'makedumpfile 1.7.8, 1 thread', 'size'),
    row('---', '---', '---', '---', '---'),
    ...inputs.flatMap(([title, file]) => measure(title, file, scratch)),
  ].join('\n');
  console.log(table);
  if (process.argv.includes('--write')) {
    const marks = /(<!-- converted -->)[\s\S]*?(<!-- end of converted -->)/;
    const text = readFileSync(README, 'utf8');
    writeFileSync(
      README,
      text.replace(marks, (_, begin, end) => `${begin}\n\n${table}\n\n${end}`),
    );
  }
} finally {
  rmSync(scratch, { recursive: true });
}
