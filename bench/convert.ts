/**
 * `npm run bench:convert [DUMP...]`: what it costs to convert a dump that makedumpfile can read, beside makedumpfile on the
 * same input, to the same format, with the same compression: each of them with two threads, in turn. `--write` puts the
 * table into bench/README.md. Without a dump, the lab's.
 */

import { mkdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inForky } from '../lab/chroot.js';
import { labPath, sceneDirectory } from '../lab/directories.js';
import { EXHUME } from '../lab/exhume.js';
import { type Contender, type Cost, compare } from './measure.js';
import { circumstances, columns, publish, row } from './readme.js';

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
  publish('converted', [
    circumstances(ROUNDS),
    '',
    ...columns('', 'exhume, 2 threads', 'makedumpfile 1.7.8, 2 threads', 'makedumpfile 1.7.8, 1 thread', 'size'),
    ...inputs.flatMap(([title, file]) => measure(title, file, scratch)),
  ]);
} finally {
  rmSync(scratch, { recursive: true });
}
