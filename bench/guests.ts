/**
 * `npm run bench:guests [DUMP...]`: what it costs to find the guests in a host's dump, beside opening the host alone, and to
 * write one out, beside a plain copy of as many bytes. `--write` puts the table into bench/README.md. Without a dump, the lab's.
 */

import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { labPath, sceneDirectory } from '../lab/directories.js';
import { type Contender, compare } from './measure.js';

const EXHUME = fileURLToPath(new URL('../bin/main.cjs', import.meta.url));
const README = fileURLToPath(new URL('../../bench/README.md', import.meta.url));
const ROUNDS = 3;
const SCENES = ['host-6.1', 'host-7.2'] as const;

function row(...cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

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
  const busy = loadavg()[0] ?? 0;
  const table = [
    `Node ${process.version}, ${cpus().length} CPUs, medians of ${ROUNDS} runs in turn, in parentheses processor time; at the start ${busy.toFixed(1)} programs wanted to run.`,
    '',
    row(
      '',
      'the host alone (`info`)',
      '`guests`',
      "one guest's size",
      'written as ELF',
      'as kdump, zlib',
      '`cp` of the ELF',
    ),
    row('---', '---', '---', '---', '---', '---', '---'),
    ...inputs.map(([title, file]) => measure(title, file, scratch)),
  ].join('\n');
  console.log(table);
  if (process.argv.includes('--write')) {
    const marks = /(<!-- guests -->)[\s\S]*?(<!-- end of guests -->)/;
    const text = readFileSync(README, 'utf8');
    writeFileSync(
      README,
      text.replace(marks, (_, begin, end) => `${begin}\n\n${table}\n\n${end}`),
    );
  }
} finally {
  rmSync(scratch, { recursive: true });
}
