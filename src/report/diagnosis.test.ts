import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualAddress } from '../bytes/address.js';
import type { Kernel } from '../kernel/kernel.js';
import { KernelView } from '../kernel/kernel-view.js';
import { runQueue } from '../kernel/scheduling/run-queue.js';
import { NO_SYMBOLS } from '../kernel/symbols.js';
import { readTasks } from '../kernel/tasks/task-list.js';
import { PatchedMemory } from '../testing/patched-memory.js';
import { Random } from '../testing/random.js';
import { openSample } from '../testing/sample.js';
import { isAbsence } from './absence.js';
import { buildReport, buildSignature } from './report.js';
import type { Absence } from './schema/common.js';
import { openSubject, type Subject } from './subject.js';
import { signatureText } from './text/diagnosis.js';
import { PLAIN } from './text/page.js';
import { reportText } from './text/report.js';
import { shortened } from './text/stack.js';

const sample = openSample();
const options = { bytes: 1, logLines: 20 };
const report = buildReport(sample, options);
const SYSRQ = 'exh1:2c9457c0a743a75a7a2c';

function subjectWith(facts: Partial<Kernel>): Subject {
  const kernel = { ...sample.kernel, ...facts };
  return { ...sample, kernel, search: { ...sample.search, kernels: [kernel] } };
}

function present<T extends object>(section: T | Absence): T {
  if (isAbsence(section)) assert.fail(section.absent);
  return section;
}

/** The sample with other bytes in its memory. */
function patched(change: (memory: PatchedMemory) => void): Subject {
  const memory = new PatchedMemory(sample.container.memory);
  change(memory);
  return openSubject(Object.create(sample.container, { memory: { value: memory } }));
}

/** The symbols without the log's. */
const lostLog = (): Partial<Kernel> => {
  const { symbols } = sample.kernel;
  const hidden = (name: string): boolean => /^(?:prb|log_buf|printk_rb_static|_printk_rb_static.*)$/.test(name);
  return {
    vmcoreinfo: undefined,
    symbols: Object.create(symbols, {
      address: { value: (name: string) => (hidden(name) ? undefined : symbols.address(name)) },
      findAll: { value: (name: string) => (hidden(name) ? [] : symbols.findAll(name)) },
    }),
  };
};

test('the cause comes in words, with who says so', () => {
  const { text, kind, evidence } = present(report.cause);
  assert.equal(kind, 'sysrq');
  assert.equal(text, 'someone asked for it: the crash was triggered by sysrq, while init (pid 1) ran');
  assert.deepEqual(
    evidence.map(({ source, text: said, agrees }) => [source, said, agrees]),
    [
      ['log', 'Kernel panic - not syncing: sysrq triggered crash', true],
      ['stack', 'sysrq_handle_crash is on the stack of CPU 1', true],
      ['variables', 'panic_cpu is 1', true],
    ],
  );
  const against = present(buildReport(subjectWith({ panicCpu: 0 }), options).cause).evidence.at(-1);
  assert.deepEqual(against, { source: 'variables', text: 'panic_cpu is 0', agrees: false });
});

test('the signature is the same out of the log, and out of the stack where the log is lost', () => {
  assert.equal(present(report.signature).id, SYSRQ);
  assert.equal(present(report.signature).source, 'log');
  const lost = buildReport(subjectWith(lostLog()), options);
  assert.ok(isAbsence(lost.log));
  const { id, source } = present(lost.signature);
  assert.deepEqual([id, source], [SYSRQ, 'stack']);
  assert.equal(present(lost.cause).kind, 'sysrq');
  assert.equal(present(buildSignature(subjectWith(lostLog())).signature).id, SYSRQ);
});

test('the signature alone', () => {
  const answer = buildSignature(sample);
  assert.equal(answer.complete, true);
  const [first, ...lines] = [...signatureText(answer, PLAIN)];
  assert.equal(first, SYSRQ);
  assert.ok(lines.some((line) => /^ {2}\+ {2}sysrq_handle_crash$/.test(line)));
  assert.ok(lines.some((line) => /^ {2}- {2}vpanic +tells of the end$/.test(line)));
  const alive = buildSignature(subjectWith({ ...lostLog(), role: 'running', panicCpu: undefined }));
  assert.equal(alive.complete, false);
  assert.deepEqual([...signatureText(alive, PLAIN)], ['no signature: nothing says that it crashed']);
});

test('the stacks of all CPUs, where it died first', () => {
  const [first, second, ...others] = present(report.stacks);
  assert.deepEqual([first?.cpu, first?.crashed, first?.task?.comm, first?.task?.pid], [1, true, 'init', 1]);
  assert.deepEqual([second?.cpu, second?.crashed, others.length], [0, false, 0]);
  assert.ok(first !== undefined);
  const { frames, end } = present(first.stack);
  const names = frames.map(({ symbol }) => symbol?.split('+')[0]);
  assert.deepEqual(names.slice(names.indexOf('vpanic')).slice(0, 3), ['vpanic', 'panic', 'sysrq_handle_crash']);
  assert.deepEqual([end, frames.at(-1)?.kind], ['user', 'user']);
});

test('what surrounded it: tasks, memory, modules', () => {
  const tasks = present(report.tasks);
  assert.equal(tasks.list.length, tasks.total);
  assert.equal(
    tasks.states.reduce((sum, { count }) => sum + count, 0),
    tasks.total,
  );
  assert.deepEqual([tasks.list[0]?.active, tasks.list[1]?.active, tasks.list[2]?.active], [true, true, false]);
  const memory = present(report.memory);
  assert.equal(memory.verdict, 'enough');
  assert.ok((memory.free ?? 0) <= (memory.total ?? 0) && (memory.total ?? 0) < 96 << 20);
  assert.ok(present(report.modules).every(({ onStack, taints }) => !onStack && taints === ''));
});

test('who waited in D for over two minutes is shown by what it waits in', () => {
  const view = new KernelView(sample.kernel);
  const workers = readTasks(view).tasks.filter(({ state, kernelThread }) => state.letter === 'I' && kernelThread);
  const chosen = workers.slice(0, 5);
  const subject = patched((memory) => {
    const put = (address: bigint, value: bigint, size: number): void => {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, value, true);
      const physical = view.memory.translate(virtualAddress(address));
      assert.ok(physical !== undefined);
      memory.write(physical, bytes.subarray(0, size));
    };
    for (const { address } of chosen) put(view.struct('task_struct', address).addressOf('__state'), 2n, 4);
    for (const cpu of view.cpus('possible')) {
      const queue = runQueue(view, cpu);
      put(queue.addressOf('clock'), queue.big('clock') + 300_000_000_000n, 8);
    }
  });
  const answer = buildReport(subject, options);
  const { waiting, unknown, groups } = present(answer.blocked);
  assert.deepEqual([waiting, unknown], [5, 0]);
  assert.deepEqual(
    groups.flatMap(({ tasks }) => tasks.map(({ pid }) => pid)).sort((a, b) => a - b),
    chosen.map(({ pid }) => pid),
  );
  assert.ok(groups.length < 5, 'workers wait for work in the same place');
  assert.ok(groups.every(({ tasks }) => tasks.every(({ seconds }) => seconds > 290 && seconds < 310)));
  const text = [...reportText(answer, PLAIN)].join('\n');
  assert.match(text, /\nBlocked {2}5 tasks in D state for over 120 s, by what they wait in\n/);
  assert.match(text, /\n {4}__schedule < schedule/);
  assert.ok(
    present(answer.cause).evidence.some(({ source, text: said }) => source === 'tasks' && /^5 tasks/.test(said)),
  );
  assert.deepEqual(present(report.blocked).groups, []);
});

test('without types the rest is told, and each section says what is missing', () => {
  const answer = buildReport(subjectWith({ types: () => undefined }), options);
  for (const section of [answer.stacks, answer.blocked, answer.tasks, answer.memory, answer.modules]) {
    assert.ok(isAbsence(section) && section.code === 'EXH_NO_LAYOUT');
  }
  assert.equal(answer.complete, false);
  assert.equal(present(answer.signature).id, SYSRQ);
  assert.equal(present(answer.cause).kind, 'sysrq');
  const text = [...reportText(answer, PLAIN)].join('\n');
  assert.match(text, /\nStacks\n {2}this kernel's type information has no/);
  assert.ok(isAbsence(buildReport(subjectWith({ symbols: NO_SYMBOLS }), options).tasks));
});

test('a kernel that did not die has no signature, and nothing is missing', () => {
  const none = Object.create(sample.kernel, { role: { value: 'running' }, panicCpu: { value: undefined } }) as Kernel;
  const answer = buildReport(
    { ...sample, kernel: { ...none, ...sample.kernel, ...lostLog(), role: 'running', panicCpu: undefined } },
    options,
  );
  assert.ok(isAbsence(answer.signature) && answer.signature.code === null);
  assert.ok(!present(answer.stacks).some(({ crashed }) => crashed));
  assert.ok(![...reportText(answer, PLAIN)].includes('Cause'));
});

test('long lists of lines are shortened in the middle, and counted', () => {
  const lines = Array.from({ length: 1900 }, (_, i) => String(i));
  const shown = [...shortened(lines, (count) => `${count} left out`)];
  assert.deepEqual([shown.length, shown[0], shown[60], shown.at(-1)], [91, '0', '1810 left out', '1899']);
  assert.deepEqual([...shortened(lines.slice(0, 92), () => 'never')], lines.slice(0, 92));
});

test('a damaged dump is reported, never thrown over', () => {
  const random = new Random(20261120);
  const view = new KernelView(sample.kernel);
  const { tasks } = readTasks(view);
  for (let round = 0; round < 10; round++) {
    const subject = patched((memory) => {
      for (let count = 0; count < 12; count++) {
        const task = tasks[random.below(tasks.length)];
        if (task === undefined) continue;
        const size = random.below(2) === 0 ? 8192 : 16384;
        const start = size === 8192 ? task.address : task.stack;
        const physical = view.memory.translate(virtualAddress(start + BigInt(random.below(size / 8) * 8)));
        if (physical === undefined) continue;
        const bytes = new Uint8Array(8);
        random.mutate(bytes);
        if (random.below(4) === 0) memory.patch(Math.floor(physical / 4096), 'excluded');
        else memory.write(physical, bytes);
      }
    });
    const answer = buildReport(subject, options);
    assert.equal(answer.schema, 'exhume-report/1');
    assert.ok([...reportText(answer, PLAIN)].length > 20);
    assert.equal(present(answer.signature).id, SYSRQ, 'the log is whole');
  }
});
