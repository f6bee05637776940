/**
 * `npm run bench`: what `exhume report` costs, beside crash and drgn on the same files, each of those given its vmlinux.
 * Prints a table; with `--write` it goes into bench/README.md. Needs the lab (`npm run lab`) and /usr/bin/time.
 */

import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, inForky } from '../lab/chroot.js';
import { labPath, sceneDirectory } from '../lab/directories.js';
import { EXHUME } from '../lab/exhume.js';
import { type KernelName, vmlinux } from '../lab/kernels.js';
import { CRASH_MINIMAL, crashCommand, DRGN_ARCHITECTURE, drgnCommand } from '../lab/peers.js';
import { type Contender, type Cost, compare } from './measure.js';
import { circumstances, columns, publish, row } from './readme.js';
import { writeTerabyteDump } from './terabyte.js';

const ROUNDS = 5;
/** What every one of them has to print to have answered: all of these guests died of it. */
const PANIC = 'Kernel panic - not syncing: sysrq triggered crash';

/** As little as answers what the report does: which kernel, its registers, its log. */
const CRASH_COMMANDS = ['sys', 'help -r', 'bt', 'log', 'quit', ''].join('\n');
const DRGN_PROGRAM = [
  'from drgn.helpers.linux.pid import for_each_task',
  'from drgn.helpers.linux.printk import print_dmesg',
  'print(prog["init_uts_ns"].name.release.string_().decode())',
  'print(prog.crashed_thread().stack_trace())',
  'print(sum(1 for _ in for_each_task(prog)))',
  'print_dmesg()',
].join('\n');
/** What `ps` shows of each task, but for memory. */
const DRGN_TASKS = [
  'from drgn.helpers.linux.pid import for_each_task',
  'from drgn.helpers.linux.sched import task_cpu, task_state_to_char',
  'for task in for_each_task(prog):',
  '    print(task.pid.value_(), task.real_parent.tgid.value_(), task_cpu(task), hex(task), task_state_to_char(task), task.comm.string_().decode())',
].join('\n');

interface Subject {
  readonly title: string;
  readonly file: string;
  readonly kernel: KernelName;
}

function scene(name: string, file: string, kernel: KernelName): Subject {
  return { title: `${name}/${file}`, file: join(sceneDirectory(name), file), kernel };
}

const SUBJECTS = [
  scene('panic-6.1', 'dump.elf', '6.1'),
  scene('panic-6.1', 'dump.flat', '6.1'),
  scene('panic-6.1-bare', 'dump.elf', '6.1'),
  scene('panic-6.1-nokaslr', 'dump.kdump', '6.1'),
  scene('panic-7.2', 'dump.elf', '7.2'),
  scene('panic-7.2', 'dump.kdump', '7.2'),
  scene('panic-7.2', 'dump.flat', '7.2'),
  scene('panic-7.2-bare', 'dump.kdump', '7.2'),
];

/** A peer that cannot by itself is helped, as far as it can be. */
const HELP = ' †';

function contendersFor({ file, kernel }: Subject): Contender[] {
  const symbols = vmlinux(kernel);
  const exhume: Command = { command: process.execPath, args: [EXHUME, 'report', file] };
  const crash = (options: readonly string[]): Omit<Contender, 'name'> => ({
    command: crashCommand('forky', file, symbols, options),
    input: CRASH_COMMANDS,
    answer: PANIC,
  });
  const drgn = (options: readonly string[]): Omit<Contender, 'name'> => ({
    command: drgnCommand(file, symbols, DRGN_PROGRAM, options),
    answer: PANIC,
  });
  return [
    { name: 'exhume', command: exhume, answer: PANIC },
    { name: 'crash', ...crash([]) },
    { name: `crash${HELP}`, ...crash(CRASH_MINIMAL) },
    { name: 'drgn', ...drgn([]) },
    { name: `drgn${HELP}`, ...drgn(DRGN_ARCHITECTURE) },
  ];
}

function measure(subject: Subject): string {
  const costs = compare(contendersFor(subject), ROUNDS);
  const exhume = costs.get('exhume');
  const peer = (name: string): string => {
    const [own, helped] = [costs.get(name), costs.get(name + HELP)];
    if (own !== undefined) return inWords(own, exhume);
    return helped === undefined ? 'cannot' : `${inWords(helped, exhume)}${HELP}`;
  };
  const size = `${Math.round(statSync(subject.file).size / 2 ** 20)} MiB`;
  return row(subject.title, size, inWords(exhume), peer('crash'), peer('drgn'));
}

/** `0.31 s, 99 MB`, and how many times that of exhume. */
function inWords(cost: Cost | undefined, base?: Cost): string {
  if (cost === undefined) return 'cannot';
  const times = (own: number, theirs: number): string => ` (${(own / theirs).toFixed(1)}×)`;
  const seconds = `${cost.seconds.toFixed(2)} s${base === undefined ? '' : times(cost.seconds, base.seconds)}`;
  return `${seconds}, ${memoryInWords(cost)}${base === undefined ? '' : times(cost.memory, base.memory)}`;
}

function memoryInWords({ memory }: Cost): string {
  return `${Math.round(memory / 1e6)} MB`;
}

/** The same guest with 256 MiB, and as if it had 1 TiB. */
function terabyte(): string[] {
  const small = scene('panic-7.2', 'dump.elf', '7.2');
  const large = join(labPath('scratch'), 'terabyte.kdump');
  writeTerabyteDump(small.file, large);
  try {
    const report = (file: string, ...more: string[]): Command => ({
      command: process.execPath,
      args: [EXHUME, ...more, file],
    });
    const last = ['rd', '-p', large, 'fffffff000'];
    const costs = compare(
      [
        { name: '`report`, 256 MiB', command: report(small.file, 'report'), answer: PANIC },
        { name: '`report`, 1 TiB', command: report(large, 'report'), answer: PANIC },
        {
          name: '`rd -p` of the last page of 1 TiB',
          command: { command: process.execPath, args: [EXHUME, ...last] },
          answer: '000000fffffff000',
        },
      ],
      ROUNDS,
    );
    return [...costs].map(([name, cost]) => row(name, inWords(cost)));
  } finally {
    rmSync(large);
  }
}

const MANY_THREADS = scene('threads-20000-7.2', 'dump.elf', '7.2');
/** The program that makes the threads there. */
const MANY_MAKER = 'exhume-lab-user';

/** `ps` of a guest with 20,000 threads. */
function manyThreads(): string[] {
  const { title, file, kernel } = MANY_THREADS;
  const costs = compare(
    [
      { name: 'exhume', command: { command: process.execPath, args: [EXHUME, 'ps', file] }, answer: MANY_MAKER },
      { name: 'drgn', command: drgnCommand(file, vmlinux(kernel), DRGN_TASKS), answer: MANY_MAKER },
    ],
    ROUNDS,
  );
  return [row(title, inWords(costs.get('exhume')), inWords(costs.get('drgn'), costs.get('exhume')))];
}

/** The memory that other commands take which look at all threads of that guest. */
function manyThreadsOtherwise(): string[] {
  const asked: readonly (readonly [command: string, answer: string])[] = [
    ['ps --json', MANY_MAKER],
    ['ps -l', MANY_MAKER],
    ['ps -p', MANY_MAKER],
    ['report', PANIC],
    ['report --json', PANIC],
    ['report --format html', PANIC],
    ['files', MANY_MAKER],
    ['vm', MANY_MAKER],
    ['bt --all', MANY_MAKER],
    ['bt --all --json', MANY_MAKER],
  ];
  const costs = compare(
    asked.map(([command, answer]) => ({
      name: `\`${command}\``,
      command: { command: process.execPath, args: [EXHUME, ...command.split(' '), MANY_THREADS.file] },
      answer,
    })),
    ROUNDS,
  );
  return [...costs].map(([name, cost]) => row(name, cost === undefined ? 'cannot' : memoryInWords(cost)));
}

function baseline(): string[] {
  const costs = compare(
    [
      { name: '`node` that does nothing', command: { command: process.execPath, args: ['-e', ''] }, answer: '' },
      {
        name: '`exhume --version`',
        command: { command: process.execPath, args: [EXHUME, '--version'] },
        answer: '.',
      },
      { name: "the peers' chroot, doing nothing", command: inForky([], 'true', []), answer: '' },
    ],
    2 * ROUNDS,
  );
  return [...costs].map(([name, cost]) => row(name, inWords(cost)));
}

const missing = SUBJECTS.filter(({ file }) => !existsSync(file));
if (missing.length > 0) {
  console.error(`not in the lab: ${missing.map(({ title }) => title).join(', ')}; make them with npm run lab`);
  process.exit(1);
}
publish('measured', [
  circumstances(ROUNDS),
  '',
  ...columns('dump', 'size', 'exhume', 'crash 9.0.2 + vmlinux', 'drgn 0.3.0 + vmlinux'),
  ...SUBJECTS.map((subject) => {
    const line = measure(subject);
    console.error(line);
    return line;
  }),
  '',
  ...columns('`ps` of 20,000 threads', 'exhume', 'drgn 0.3.0 + vmlinux'),
  ...manyThreads(),
  '',
  ...columns('20,000 threads', 'peak memory of exhume'),
  ...manyThreadsOtherwise(),
  '',
  ...columns('size of the machine', 'exhume'),
  ...terabyte(),
  '',
  ...columns('what starting costs', ''),
  ...baseline(),
]);
