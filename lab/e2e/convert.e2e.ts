/** Conversions of real dumps: every form to every other, page by page, and what exhume answers about them before and after. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Pfn } from '../../src/bytes/address.js';
import type { PhysicalMemory } from '../../src/dump/memory.js';
import { openDumpFiles } from '../../src/dump/node.js';
import { QUESTIONS } from '../../src/report/questions.js';
import { openSubject } from '../../src/report/subject.js';
import { Random } from '../../src/testing/random.js';
import { sceneDirectory } from '../directories.js';
import { EXHUME } from '../exhume.js';
import { run } from '../shell.js';
import { convert, FIRMWARE, keptMemoryOf, memoryOf, samePages, scratchDirectory } from './conversions.js';

const scratch = scratchDirectory();

interface Input {
  readonly scene: string;
  readonly file: string;
  /** It goes through all forms one after the other, too. */
  readonly chain?: boolean;
  /** Its reader is told that it is a plain image. */
  readonly raw?: boolean;
}

/** A dump of each form of both kernels; made by QEMU, by a kernel, and by makedumpfile. */
const INPUTS: readonly Input[] = [
  { scene: 'panic-6.1', file: 'dump.elf' },
  { scene: 'panic-6.1', file: 'dump.flat', chain: true },
  { scene: 'panic-7.2', file: 'dump.elf' },
  { scene: 'panic-7.2', file: 'dump.kdump' },
  { scene: 'kdump', file: 'vmcore.elf' },
  { scene: 'kdump', file: 'vmcore.d31.lzo' },
  { scene: 'kdump', file: 'vmcore.d31.elf.flat' },
  { scene: 'kdump-bare', file: 'vmcore.elf', chain: true },
  { scene: 'raw', file: 'memory.raw', raw: true, chain: true },
];

/** Every form that can be written. */
const OUTPUTS: readonly (readonly [name: string, ...options: string[]])[] = [
  ['elf', '--format', 'elf'],
  ['zlib', '--compress', 'zlib'],
  ['lzo', '--compress', 'lzo'],
  ['snappy', '--compress', 'snappy'],
  ['zstd', '--compress', 'zstd'],
  ['none', '--compress', 'none'],
  ['flat', '--format', 'flattened', '--compress', 'lzo'],
  ['split', '--split', '3', '--compress', 'snappy'],
];
/** For pages that are only to come back: what a level does to their size is not looked at. */
const FASTEST: Readonly<Record<string, readonly string[]>> = { zlib: ['--level', '1'], zstd: ['--level', '1'] };

/** What is asked about each dump. */
const ASKED = ['ps -l -r', 'log', 'bt --all', 'regs'];

/** The answers, without what is about the file. */
function answersOf(files: readonly string[], raw = false): Map<string, unknown> {
  const subject = openSubject(openDumpFiles(files, raw ? { format: 'raw' } : {}));
  const questions = QUESTIONS.filter(({ line }) => ASKED.includes(line));
  assert.equal(questions.length, ASKED.length);
  return new Map(
    questions.map(({ line, ask }) => {
      const { file, evidence, damage, complete, ...answer } = ask(subject) as Record<string, unknown>;
      return [line, answer];
    }),
  );
}

const pathOf = ({ scene, file }: Input): string => join(sceneDirectory(scene), file);
const rawOptions = ({ raw }: Input): string[] => (raw ? ['--raw-memory'] : []);
/** The memory of the input at hand. */
let kept: { readonly input: Input; readonly memory: PhysicalMemory } | undefined;
function memoryOfInput(input: Input): PhysicalMemory {
  if (kept?.input !== input) kept = { input, memory: keptMemoryOf(pathOf(input), input.raw) };
  return kept.memory;
}
const filesOf = (out: string, name: string): string[] =>
  name === 'split' ? [1, 2, 3].map((part) => `${out}.${part}`) : [out];

for (const input of INPUTS) {
  const source = pathOf(input);
  const options = rawOptions(input);
  const answers = answersOf([source], input.raw);
  for (const [name, ...how] of OUTPUTS) {
    test(`${input.scene}/${input.file} to ${name}: the same pages, and the same answers`, () => {
      const out = join(scratch, 'out');
      const files = filesOf(out, name);
      try {
        const { pages } = convert(...options, source, out, ...how);
        assert.equal(pages.lost, 0);
        assert.equal(samePages(memoryOfInput(input), memoryOf(files)), pages.written);
        for (const [line, answer] of answersOf(files)) assert.deepEqual(answer, answers.get(line), line);
      } finally {
        for (const file of files) rmSync(file, { force: true });
      }
    });
  }

  if (!input.chain) continue;
  test(`${input.scene}/${input.file} through all forms, and to a plain image`, () => {
    const made = OUTPUTS.filter(([name]) => name !== 'split').map(([name]) => join(scratch, name));
    const image = join(scratch, 'image');
    try {
      let last = source;
      OUTPUTS.filter(([name]) => name !== 'split').forEach(([name, ...how], i) => {
        convert(...(last === source ? options : []), last, made[i] ?? '', ...how, ...(FASTEST[name] ?? []));
        last = made[i] ?? '';
      });
      assert.ok(samePages(memoryOfInput(input), memoryOf([last])) > 10_000);
      convert(last, image, '--format', 'raw');
      const [one, plain] = [memoryOfInput(input), memoryOf([image], true)];
      for (const { start, end } of one.presentRanges()) {
        for (let pfn = Math.ceil(start / 4096); pfn < Math.floor(end / 4096); pfn++) {
          const page = one.page(pfn as Pfn);
          if (typeof page === 'string' || pfn >= FIRMWARE) continue;
          assert.equal(Buffer.compare(page, plain.page(pfn as Pfn) as Uint8Array), 0, `page ${pfn}`);
        }
      }
    } finally {
      for (const file of [...made, image]) rmSync(file, { force: true });
    }
  });
}

test('on a disk that is full nothing is left, and nothing is broken', { skip: process.getuid?.() !== 0 }, () => {
  const disk = join(scratch, 'disk');
  mkdirSync(disk);
  const source = join(sceneDirectory('panic-6.1'), 'dump.elf');
  const script = [
    'mount -t tmpfs -o size=$1M none "$2"',
    'echo old > "$2/out"',
    'shift 2; "$@"; echo status $?; ls -A "$DISK"; cat "$DISK/out"',
  ].join('\n');
  for (const megabytes of [1, 7, 20]) {
    const { stdout, stderr } = spawnSync(
      'unshare',
      [
        '--mount',
        'sh',
        '-c',
        script,
        'sh',
        String(megabytes),
        disk,
        process.execPath,
        EXHUME,
        'convert',
        source,
        join(disk, 'out'),
      ],
      { encoding: 'utf8', env: { ...process.env, DISK: disk } },
    );
    assert.match(stderr, /EXH_NO_SPACE/);
    assert.equal(stdout, 'status 4\nout\nold\n');
  }
  rmSync(disk, { recursive: true });
});

test('killed at any moment, it leaves the old file or the new one', async () => {
  const place = join(scratch, 'killed');
  const out = join(place, 'out');
  const source = join(sceneDirectory('panic-6.1'), 'dump.elf');
  const random = new Random(9);
  const moments = { before: 0, after: 0 };
  // Until it happened before the end ten times; a machine that is slow today cannot make it hang.
  for (let round = 0; round < 40 && moments.before < 10; round++) {
    mkdirSync(place);
    writeFileSync(out, 'old');
    const child = spawn(process.execPath, [EXHUME, 'convert', source, out], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    await setTimeout(random.below(2000));
    child.kill('SIGKILL');
    await ended;
    if (readFileSync(out).length === 3) {
      assert.equal(readFileSync(out, 'latin1'), 'old');
      moments.before++;
    } else {
      assert.ok(samePages(memoryOf([source]), memoryOf([out])) > 10_000);
      moments.after++;
    }
    rmSync(place, { recursive: true });
  }
  assert.ok(moments.before >= 3, `${moments.before} before the end, ${moments.after} after it`);
});

test('memory stays bounded, however large the dump is', () => {
  const large = join(sceneDirectory('high'), 'dump.kdump');
  const out = join(scratch, 'high.zstd');
  const told = join(scratch, 'time');
  try {
    const args = ['-f', '%M', '-o', told, process.execPath, EXHUME, 'convert', '--jobs', '2', '--compress', 'zstd'];
    run('/usr/bin/time', [...args, large, out]);
    const kibibytes = Number(readFileSync(told, 'utf8').trim().split('\n').at(-1));
    assert.ok(kibibytes * 1024 < 200e6, `${kibibytes} KiB`);
    assert.ok(samePages(memoryOf([large]), memoryOf([out])) > 100_000);
  } finally {
    rmSync(out, { force: true });
    rmSync(told, { force: true });
  }
});
