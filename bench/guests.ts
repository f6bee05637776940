/**
 * `npm run bench:guests [DUMP...]`: what it costs to find the guests in a host's dump, beside opening the host alone, and to
 * write one out, beside a plain copy of as many bytes. `--write` puts the table into bench/README.md. Without a dump, the lab's.
 */

import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { labPath, sceneDirectory } from '../lab/directories.js';
import { EXHUME } from '../lab/exhume.js';
import { type Contender, compare } from './measure.js';
import { circumstances, columns, publish, row } from './readme.js';

const ROUNDS = 3;
const SCENES = ['host-6.1', 'host-7.2'] as const;

function exhume(name: string, args: readonly string[], answer: string): Contender {
  return { name, command: { command: process.execPath, args: [EXHUME, ...args] }, answer };
}

function measure(title: string, file: string, scratch: string): string {
  const [elf, copy, kdump] = ['guest.elf', 'copy', 'guest.kdump'].map((name) => join(scratch, name)) as [
    string,
    string,
    string,
  ];
  const guest = ['guests', file, '--extract', '0', '--jobs', '1', '-o'];
  const costs = compare(
    [
      exhume('host', ['info', file], 'Evidence'),
      exhume('guests', ['guests', file], 'kernel'),
      exhume('elf', [...guest, elf, '--format', 'elf'], 'MiB/s'),
      exhume('kdump', [...guest, kdump], 'MiB/s'),
      {
        name: 'cp',
        command: { command: 'sh', args: ['-c', 'cp "$1" "$2" && echo done', 'sh', elf, copy] },
        answer: 'done',
      },
    ],
    ROUNDS,
  );
  const told = (name: string): string => {
    const cost = costs.get(name);
    if (cost === undefined) return 'cannot';
    const { seconds, processor, memory } = cost;
    return `${seconds.toFixed(2)} s (${processor.toFixed(2)} s), ${Math.round(memory / 1e6)} MB`;
  };
  const size = `${Math.round(statSync(elf).size / 2 ** 20)} MiB`;
  const line = row(title, told('host'), told('guests'), size, told('elf'), told('kdump'), told('cp'));
  console.error(line);
  return line;
}

const files = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const inputs =
  files.length > 0
    ? files.map((file) => [file, file] as const)
    : SCENES.map((scene) => [scene, join(sceneDirectory(scene), 'host.elf')] as const);
const scratch = labPath('scratch', `bench-${process.pid}`);
mkdirSync(scratch, { recursive: true });
try {
  publish('guests', [
    circumstances(ROUNDS, ', in parentheses processor time'),
    '',
    ...columns(
      '',
      'the host alone (`info`)',
      '`guests`',
      "one guest's size",
      'written as ELF',
      'as kdump, zlib',
      '`cp` of the ELF',
    ),
    ...inputs.map(([title, file]) => measure(title, file, scratch)),
  ]);
} finally {
  rmSync(scratch, { recursive: true });
}
