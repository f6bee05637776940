import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QUESTIONS } from '../report/questions.js';
import { createProgram } from './program.js';
import { Session } from './session.js';

/** Commands that ask nothing of a dump's memory of their own, and why. */
const NOT_ASKED: Readonly<Record<string, string>> = {
  search: 'reads all memory: of what is left it finds what is there, and says how much it could not look at',
  guests:
    'what a guest lies in is memory of a process, which is left out; report asks for what the kernel knows of guests',
  kho: 'all memory is searched for handovers, and what they preserve is of no kernel structure',
  shell: 'runs other commands',
  completion: 'reads no dump',
  pstore: 'reads no dump',
  device: 'reads no dump',
  convert: 'writes what is left: of its classes of pages some cannot be told any more, and those pages are kept',
};

/** Options that choose among what is read anyway, or how it is shown. */
const OF_FORM: Readonly<Record<string, readonly string[]>> = {
  report: ['--format', '--signature', '--log-lines'],
  log: ['-T', '-r', '-l', '-n', '--caller'],
  regs: ['-c'],
  sym: ['-g'],
  ps: ['-k', '-u', '-G', '-A', '-y', '-C', '-s', '-t', '-m', '-S', '-H'],
  bt: ['-c', '-s', '-l', '--debug'],
  runq: ['-c', '-t', '-m'],
  mod: ['-t', '-v'],
  mount: ['-p'],
  files: ['-c', '-R'],
  kmem: ['-M'],
  vm: ['-s', '-M'],
  ipcs: ['-m', '-M', '-s', '-q'],
  irq: ['-u', '-a', '-s', '-c'],
  timer: ['-C'],
  trace: [
    ...['--list', '--buffer', '--spare', '--cpu', '--event', '--since', '--until', '--pid', '--comm', '--filter'],
    ...['--raw', '--format', '--formats', '--progress'],
    // Memory that no kernel structure leads to: `kho` says why.
    ...['--persistent', '--handover', '--memory'],
  ],
};

/** What they look at is named by their operands, and cannot be known before. */
const OF_OPERANDS = new Set(['vtop', 'rd', 'struct', 'p', 'list', 'tree', 'dis', 'waitq']);

test('every command is among the questions, with each option that makes it read more, so that a dump with --keep kernel answers it', () => {
  const quiet = { write: () => true };
  const program = createProgram(new Session({ stdout: quiet, stderr: quiet, environment: {} }));
  const asked = new Set(QUESTIONS.map(({ line }) => line.split(' ')[0]));
  const commands = program.commands.map((command) => command.name());
  assert.deepEqual([...asked, ...Object.keys(NOT_ASKED)].sort(), commands.sort());
  for (const command of program.commands) {
    const name = command.name();
    if (OF_OPERANDS.has(name) || name in NOT_ASKED) continue;
    const words = new Set(
      QUESTIONS.map(({ line }) => line.split(' '))
        .filter(([first]) => first === name)
        .flat(),
    );
    const known = new Set([...words, ...(OF_FORM[name] ?? [])]);
    for (const { short, long } of command.options) {
      assert.ok(known.has(short ?? '') || known.has(long ?? ''), `${name} ${short ?? ''} ${long ?? ''}`);
    }
  }
});
