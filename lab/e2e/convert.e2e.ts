/**
 * Conversions of real dumps: every form to every other, page by page; what exhume answers about them before and after;
 * and the other readers on what exhume wrote.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Pfn } from '../../src/bytes/address.js';
import type { PhysicalMemory } from '../../src/dump/memory.js';
import { openDumpFiles } from '../../src/dump/node.js';
import type { ConvertReport } from '../../src/report/schema/convert.js';
import { inForky } from '../chroot.js';
import { labPath, sceneDirectory } from '../directories.js';
import { type KernelName, vmlinux } from '../kernels.js';
import { makedumpfileCommand } from '../makedumpfile.js';
import { crash, crashLog, drgnCommand, drgnLog } from '../peers.js';
import { run } from '../shell.js';

const EXHUME = fileURLToPath(new URL('../../bin/main.cjs', import.meta.url));

const scratch = labPath('scratch', `convert-${process.pid}`);
mkdirSync(scratch, { recursive: true });
after(() => rmSync(scratch, { recursive: true }));

interface Input {
  readonly scene: string;
  readonly file: string;
  readonly kernel: KernelName;
  /** Its reader is told that it is a plain image. */
  readonly raw?: boolean;
}

/** A dump of each form of both kernels; made by QEMU, by a kernel, and by makedumpfile. */
const INPUTS: readonly Input[] = [
  { scene: 'panic-6.1', file: 'dump.elf', kernel: '6.1' },
  { scene: 'panic-6.1', file: 'dump.flat', kernel: '6.1' },
  { scene: 'panic-7.2', file: 'dump.elf', kernel: '7.2' },
  { scene: 'panic-7.2', file: 'dump.kdump', kernel: '7.2' },
  { scene: 'kdump', file: 'vmcore.elf', kernel: '6.1' },
  { scene: 'kdump', file: 'vmcore.d31.lzo', kernel: '6.1' },
  { scene: 'kdump', file: 'vmcore.d31.elf.flat', kernel: '6.1' },
  { scene: 'kdump-bare', file: 'vmcore.elf', kernel: '7.2' },
  { scene: 'raw', file: 'dump.raw', kernel: '7.2', raw: true },
];

/** Every form that can be written. */
const OUTPUTS: readonly (readonly [name: string, ...options: string[]])[] = [
  ['elf', '--format', 'elf'],
  ['zlib', '--compress', 'zlib'],
  ['lzo', '--compress', 'lzo'],
  ['snappy', '--compress', 'snappy'],
  ['zstd', '--compress', 'zstd'],
  ['none', '--compress', 'none'],
  ['flat', '--format', 'flattened'],
  ['split', '--split', '3'],
];

function convert(...args: readonly string[]): ConvertReport {
  const finished = run(process.execPath, [EXHUME, 'convert', '--json', ...args], { accept: [0, 1] });
  return JSON.parse(finished.stdout);
}

const pathOf = ({ scene, file }: Input): string => join(sceneDirectory(scene), file);
const rawOptions = ({ raw }: Input): string[] => (raw ? ['--raw-memory'] : []);
const filesOf = (out: string, name: string): string[] =>
  name === 'split' ? [1, 2, 3].map((part) => `${out}.${part}`) : [out];

function memoryOf(files: readonly string[], raw = false): PhysicalMemory {
  return openDumpFiles(files, raw ? { format: 'raw' } : {}).memory;
}

/** QEMU describes the firmware as the last MiB below 4 GiB. */
const FIRMWARE = 0xfff00;

/** How many pages are the same; fails for the first one that is not. */
function samePages(one: PhysicalMemory, other: PhysicalMemory): number {
  let same = 0;
  const end = Math.max(one.ranges().at(-1)?.end ?? 0, other.ranges().at(-1)?.end ?? 0) / 4096;
  for (let pfn = 0; pfn < end; pfn++) {
    const [before, now] = [one.page(pfn as Pfn), other.page(pfn as Pfn)];
    // The firmware, which the kernel does not know, is in no kdump file.
    if (pfn >= FIRMWARE && now === 'absent') continue;
    if (typeof before === 'string' || typeof now === 'string') assert.equal(now, before, `page ${pfn}`);
    else if (Buffer.compare(before, now) === 0) same++;
    else assert.fail(`page ${pfn} is another one`);
  }
  return same;
}

/** What exhume says, without what is about the file. */
function said(command: string, files: readonly string[], ...options: readonly string[]): unknown {
  const [first = '', ...parts] = files;
  const args = [EXHUME, command, '--json', ...parts.flatMap((part) => ['--part', part]), first, ...options];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  assert.notEqual(stdout, '', stderr);
  const { file, evidence, damage, complete, ...answer } = JSON.parse(stdout);
  return answer;
}

for (const input of INPUTS) {
  const source = pathOf(input);
  const options = rawOptions(input);
  for (const [name, ...how] of OUTPUTS) {
    test(`${input.scene}/${input.file} to ${name}: the same pages, and the same answers`, () => {
      const out = join(scratch, 'out');
      const files = filesOf(out, name);
      try {
        const { pages } = convert(...options, source, out, ...how);
        assert.equal(pages.lost, 0);
        assert.equal(samePages(memoryOf([source], input.raw), memoryOf(files)), pages.written);
        for (const [command, ...more] of [['ps'], ['log'], ['bt', '--all'], ['mod'], ['regs']] as const) {
          assert.deepEqual(said(command, files, ...more), said(command, [source], ...options, ...more), command);
        }
      } finally {
        for (const file of files) rmSync(file, { force: true });
      }
    });
  }

  test(`${input.scene}/${input.file} through all forms, and to a plain image`, () => {
    const made = OUTPUTS.filter(([name]) => name !== 'split').map(([name]) => join(scratch, name));
    const image = join(scratch, 'image');
    try {
      let last = source;
      OUTPUTS.filter(([name]) => name !== 'split').forEach(([, ...how], i) => {
        convert(...(last === source ? options : []), last, made[i] ?? '', ...how);
        last = made[i] ?? '';
      });
      assert.ok(samePages(memoryOf([source], input.raw), memoryOf([last])) > 10_000);
      convert(last, image, '--format', 'raw');
      const [one, plain] = [memoryOf([source], input.raw), memoryOf([image], true)];
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

/** Dumps as the others get them, of a QEMU dump that they refuse. */
const FOR_PEERS: readonly (readonly [name: string, ...options: string[]])[] = [
  ['elf', '--format', 'elf'],
  ['zlib', '--compress', 'zlib'],
  ['zstd', '--compress', 'zstd'],
  ['flat', '--format', 'flattened'],
  ['d31', '-d', '31'],
];

const words = (text: string): string => text.replace(/[ \t]+/g, ' ').trim();
/**
 * Lines of a log as all of them print them: of a message of several lines some repeat the time, makedumpfile tells the
 * caller, and crash that its commands come from no terminal.
 */
const messages = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => words(line.replace(/^\[ *[\d.]+\] ?(\[ *[TC]\d+\] ?)?/, '')))
    .filter((line) => line !== '' && !line.startsWith('crash: /dev/stdin'));

const DRGN_TASKS = [
  'from drgn.helpers.linux.pid import for_each_task',
  'for task in for_each_task(prog):',
  '    print(task.pid.value_(), task.comm.string_().decode())',
  'print(prog.crashed_thread().stack_trace())',
].join('\n');

for (const [scene, file, kernel] of [
  ['panic-6.1', 'dump.flat', '6.1'],
  ['panic-7.2', 'dump.kdump', '7.2'],
  ['kdump', 'vmcore.elf', '6.1'],
] as const) {
  const source = join(sceneDirectory(scene), file);
  for (const [name, ...how] of FOR_PEERS) {
    test(`${scene}/${file} as ${name}: drgn, crash, makedumpfile and libkdumpfile open it`, () => {
      const out = join(scratch, `peer-${name}`);
      try {
        convert(source, out, ...how);
        const log = messages(run(process.execPath, [EXHUME, 'log', source]).stdout);
        assert.ok(log.length > 100);
        assert.deepEqual(messages(drgnLog(out, vmlinux(kernel))), log, 'the log of drgn');
        const asked = drgnCommand(out, vmlinux(kernel), DRGN_TASKS);
        const walked = run(asked.command, asked.args, { timeoutSeconds: 300, label: 'drgn' }).stdout;
        const tasks = said('ps', [source]) as { tasks: { pid: number; comm: string }[] };
        for (const { pid, comm } of tasks.tasks.filter(({ pid }) => pid > 0))
          assert.ok(walked.includes(`${pid} ${comm}\n`), `${pid} ${comm}`);
        assert.match(walked, /panic/);
        if (kernel === '6.1') {
          assert.deepEqual(messages(crashLog(out, vmlinux(kernel))), log, 'the log of crash');
          const answers = crash('forky', out, vmlinux(kernel), ['bt', 'ps']);
          assert.match(answers, /panic/);
          for (const { comm } of tasks.tasks.filter(({ pid }) => pid > 0))
            assert.ok(answers.includes(comm.slice(0, 15)), comm);
        }
        if (name === 'zlib') peersOfKdump(out, source, kernel);
      } finally {
        rmSync(out, { force: true });
      }
    });
  }
}

/** makedumpfile reads the log and filters it once more; libkdumpfile tells what it is. */
function peersOfKdump(out: string, source: string, kernel: KernelName): void {
  const again = `${out}.again`;
  const log = `${out}.log`;
  try {
    const dmesg = makedumpfileCommand('forky', scratch, ['--dump-dmesg', '-f', out, log]);
    run(dmesg.command, dmesg.args);
    assert.deepEqual(
      messages(readFileSync(log, 'latin1')),
      messages(run(process.execPath, [EXHUME, 'log', source]).stdout),
    );
    const filter = makedumpfileCommand('forky', scratch, ['-l', '-d', '31', '-f', out, again]);
    run(filter.command, filter.args);
    const filtered = memoryOf([again]);
    const ours = join(scratch, 'ours');
    convert(out, ours, '-d', '31');
    const kept = memoryOf([ours]);
    let differ = 0;
    for (let pfn = 0; pfn < (kept.ranges().at(-1)?.end ?? 0) / 4096; pfn++) {
      if ((kept.state(pfn as Pfn) === 'present') !== (filtered.state(pfn as Pfn) === 'present')) differ++;
    }
    // On 7.x it drops first tail pages of slabs as user data: docs/filtering.md.
    if (kernel === '6.1') assert.equal(differ, 0);
    rmSync(ours);
    const id = inForky([scratch], 'kdumpid', [out]);
    assert.match(run(id.command, id.args).stdout, /[Aa]rch.*x86_64/);
  } finally {
    for (const file of [again, log]) rmSync(file, { force: true });
  }
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

test('memory stays bounded, however large the dump is', { skip: !existsSync('/usr/bin/time') }, () => {
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
