import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printedCrash } from '../../testing/printed-crash.js';
import type { CrashKind } from '../log/crash-signs.js';
import type { Frame } from './frame.js';
import { recognizeStack } from './recognition.js';
import { groupByStack } from './shared-stacks.js';
import { GROUPING } from './signature.js';
import { endInWords } from './words.js';

function told(name: string): string {
  const { cause, panicMessage, cpu } = printedCrash(name);
  assert.ok(cause !== undefined);
  return endInWords({
    kind: cause.kind,
    title: cause.title,
    panicMessage,
    where: 'f',
    callers: ['g'],
    jumped: false,
    cpu: cause.cpu ?? cpu,
    pid: cause.pid,
    comm: cause.comm,
    signature: undefined,
  });
}

const IN_WORDS: Readonly<Record<string, string>> = {
  '7.2-null': 'a NULL pointer was used (at offset 0x20) in f, called by g',
  '7.2-nx': 'the kernel jumped to data: a function pointer did not hold a function in f, called by g',
  '6.1-gpf':
    '0x25b5f6bb1a24827e was used as an address, which it cannot be, in f, called by g: memory that was overwritten, or used after it was freed, looks like this',
  '6.1-bug': "a check of the kernel's own failed at kernel/jump_label.c:515 in f, called by g",
  '6.1-divide': 'the processor refused to go on: divide error in f, called by g',
  '7.2-overflow': 'the kernel stack overflowed in f, called by g',
  '5.10-warn': 'a warning at mm/truncate.c:748 in f, called by g, and the kernel was told to panic on warnings',
  '6.1-soft': 'CPU 1 ran cat (pid 92) in the kernel for 13 s and let nothing else run: it was in f, called by g',
  '7.2-rcu-stall': 'a CPU or task held up RCU (rcu_preempt detected stalls on CPUs/tasks) in f, called by g',
  '6.1-oom':
    'memory ran out as dd (pid 94) asked for some, and the kernel was told to panic then or had nothing to kill',
  '7.2-nmi': 'a non-maskable interrupt came that nobody expected: NMI received for unknown reason 31 on CPU 0',
  '5.10-exit':
    'the first process, init (pid 1), ended, and no kernel goes on without it: Attempted to kill init! exitcode=0x00000300',
  '6.1-vfs':
    'it did not find its root file system, or no init on it: VFS: Unable to mount root fs on unknown-block(0,0)',
};

for (const [name, words] of Object.entries(IN_WORDS)) {
  test(`${name} in words`, () => assert.equal(told(name), words));
}

test('every kind has words, also where nothing else is known', () => {
  for (const kind of Object.keys(GROUPING) as CrashKind[]) {
    const nothing = { title: undefined, panicMessage: undefined, where: undefined, callers: [], jumped: false };
    const nobody = { cpu: undefined, pid: undefined, comm: undefined, signature: undefined };
    const words = endInWords({ kind, ...nothing, ...nobody });
    assert.ok(words.length > 10 && !/undefined|null|: $| {2}/.test(words), `${kind}: ${words}`);
  }
});

const frames = (names: string, more: Partial<Frame> = {}): Frame[] =>
  names.split(' ').map((name) => ({ name, module: undefined, reliable: true, stack: undefined, ...more }));

test('a stack shows what kind of end it was', () => {
  const shows: [string, string | undefined][] = [
    ['vpanic panic sysrq_handle_crash __handle_sysrq.cold', 'sysrq'],
    ['panic watchdog.cold kthread', 'hung-task'],
    ['panic watchdog_timer_fn.cold __hrtimer_run_queues', 'soft-lockup'],
    ['nmi_panic watchdog_overflow_callback __perf_event_overflow exc_nmi', 'hard-lockup'],
    ['panic panic_on_rcu_stall check_cpu_stall', 'rcu-stall'],
    ['panic out_of_memory.cold __alloc_pages', 'out-of-memory'],
    ['panic oops_end handle_stack_overflow exc_double_fault', 'stack-overflow'],
    ['panic oops_end page_fault_oops exc_page_fault f', 'page-fault'],
    ['panic oops_end exc_general_protection f', 'general-protection'],
    ['panic oops_end do_trap exc_invalid_op f', 'bug'],
    ['panic oops_end exc_invalid_op __list_del_entry_valid f', 'corruption'],
    ['panic check_panic_on_warn __warn report_bug exc_invalid_op f', 'warning'],
    ['panic mce_panic do_machine_check', 'machine-check'],
    ['panic unknown_nmi_error exc_nmi', 'nmi'],
    ['panic do_exit.cold do_group_exit', 'init-died'],
    ['panic mount_root_generic', 'no-root'],
    ['panic some_driver', 'panic'],
    ['do_exit do_group_exit', undefined],
    ['exc_page_fault handle_mm_fault', undefined],
  ];
  for (const [names, kind] of shows) assert.equal(recognizeStack(frames(names))?.kind, kind, names);
  assert.equal(recognizeStack(frames('panic sysrq_handle_crash', { reliable: false })), undefined);
  assert.equal(recognizeStack(frames('panic sysrq_handle_crash', { module: 'mine' })), undefined);
});

test('what has the same stack is one group, the largest first', () => {
  const things = [['a'], ['b', 'c'], ['a', 'b'], ['b', 'c'], undefined, undefined, []];
  const groups = groupByStack(things, (thing) => thing);
  assert.deepEqual(
    groups.map(({ members }) => members.length),
    [2, 1, 1, 2, 1].sort((a, b) => b - a),
  );
  assert.deepEqual(groups[0]?.members, [
    ['b', 'c'],
    ['b', 'c'],
  ]);
});
