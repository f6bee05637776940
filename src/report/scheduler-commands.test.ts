import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compile } from 'typebox/schema';
import { ExhumeError } from '../bytes/errors.js';
import { damagedView } from '../testing/damaged-view.js';
import { openSample } from '../testing/sample.js';
import { buildDev } from './dev.js';
import { buildIrq } from './irq.js';
import { buildMach } from './mach.js';
import { buildPs } from './ps.js';
import { buildRunq } from './runq.js';
import { SCHEMAS } from './schema/index.js';
import type { Subject } from './subject.js';
import { buildSys } from './sys.js';
import { devText } from './text/dev.js';
import { irqText } from './text/irq.js';
import { machText } from './text/mach.js';
import { PLAIN } from './text/page.js';
import { psText } from './text/ps.js';
import { runqText } from './text/runq.js';
import { sysText } from './text/sys.js';
import { clockTime, elapsed } from './text/task.js';
import { timerText } from './text/timer.js';
import { waitqText } from './text/waitq.js';
import { buildTimer } from './timer.js';
import { buildWaitq } from './waitq.js';

const subject: Subject = openSample();
const text = (lines: Iterable<string>): string => [...lines].join('\n');

const answers: [name: string, what: string, answer: { readonly complete: boolean }][] = [
  ['ps', 'all', buildPs(subject)],
  ['ps', 'parents', buildPs(subject, { relation: 'parents', selectors: ['109'] })],
  ['runq', 'all', buildRunq(subject, { debug: true })],
  ['irq', 'all', buildIrq(subject, { gates: true, softirqs: true })],
  ['timer', 'wheels', buildTimer(subject)],
  ['timer', 'high-resolution', buildTimer(subject, { hrtimers: true })],
  ['dev', 'all', buildDev(subject, true)],
  ['sys', 'all', buildSys(subject, ['vmcore'])],
  ['mach', 'all', buildMach(subject)],
  ['waitq', 'a queue', buildWaitq(subject, 'kauditd_wait')],
];
for (const [name, what, answer] of answers) {
  test(`${name}: ${what}: is whole, and what its schema says`, () => {
    const validator = Compile(JSON.parse(JSON.stringify(SCHEMAS[name])) as object);
    const json = JSON.parse(JSON.stringify(answer));
    const [valid, errors] = validator.Errors(json);
    assert.ok(valid, JSON.stringify(errors, null, 2));
    assert.deepEqual(json, answer, 'JSON loses something of the model');
    assert.equal(answer.complete, true);
  });
}

test('ps prints what crash prints', () => {
  const table = text(psText(buildPs(subject, { selectors: ['1', 'kthreadd'] }), 'table', PLAIN)).split('\n');
  assert.deepEqual(table, [
    '      PID    PPID  CPU       TASK        ST  %MEM      VSZ      RSS  COMM',
    '>       1       0   1  ffff892744698000  RU   1.8     2268     1808  init',
    '        2       0   1  ffff89274469b480  IN   0.0        0        0  [kthreadd]',
  ]);
  assert.equal(text(psText(buildPs(subject), 'summary', PLAIN)), '  RU: 3\n  IN: 23\n  ID: 37');
  assert.match(text(psText(buildPs(subject, { selectors: ['1'] }), 'stack', PLAIN)), / {7}-- {7}/);
});

test('ps selects by pid, address, name, kind, CPU, policy and activity, and tells what it does not find', () => {
  const pids = (options: Parameters<typeof buildPs>[1]): number[] =>
    buildPs(subject, options).tasks.map(({ pid }) => pid);
  assert.deepEqual(pids({ selectors: ['sleep'] }), [109, 110]);
  assert.deepEqual(pids({ selectors: ['ffff892744698000', '0xffff89274469b480'] }), [1, 2]);
  assert.deepEqual(pids({ selectors: ['pool_workqueue_release'] }), [3], 'names are cut as the kernel cuts them');
  assert.deepEqual(pids({ active: true }), [0, 1]);
  assert.deepEqual(pids({ kind: 'user' }), [1, 109, 110]);
  assert.equal(pids({ kind: 'kernel' }).length + 3, pids({}).length);
  assert.deepEqual(pids({ policies: ['deadline'] }), []);
  assert.ok(
    pids({ policies: ['fifo'] }).length > 0 && pids({ policies: ['1'] }).length === pids({ policies: ['fifo'] }).length,
  );
  assert.ok(pids({ cpus: [1] }).includes(1) && !pids({ cpus: [0] }).includes(1));
  const missing = buildPs(subject, { selectors: ['1', 'nobody'] });
  assert.deepEqual([missing.unmatched, missing.complete], [['nobody'], false]);
});

test('ps tells relations and last runs', () => {
  const parents = buildPs(subject, { selectors: ['109'], relation: 'parents' }).relatives[0];
  assert.deepEqual(
    parents?.tasks.map(({ pid }) => pid),
    [0, 1],
  );
  const children = buildPs(subject, { selectors: ['1'], relation: 'children' });
  assert.deepEqual(
    children.relatives[0]?.tasks.map(({ pid }) => pid),
    [109, 110],
  );
  assert.match(text(psText(children, 'table', PLAIN)), /^PID: 1 .*\n {2}PID: 109 /);
  const threads = buildPs(subject, { selectors: ['0', '1'], relation: 'threads' });
  assert.deepEqual(
    threads.relatives.map(({ tasks }) => tasks.length),
    [1, 0],
  );
  const runs = buildPs(subject, { byLastRun: true }).tasks.map(({ lastRun }) => lastRun ?? 0);
  assert.ok(runs.every((run, index) => index === 0 || run <= (runs[index - 1] ?? 0)) && (runs[0] ?? 0) > 3e9);
  const init = buildPs(subject, { selectors: ['1'] });
  assert.match(text(psText(init, 'sinceLastRun', PLAIN)), /^\[0 00:00:00\.\d{3}\] \[RU\] {2}PID: 1 /);
  assert.match(text(psText(init, 'times', PLAIN)), /RUN TIME: 00:00:0[23]\n {2}START TIME: \d{9}\n/);
  assert.equal(elapsed(93784005e6), '[1 02:03:04.005]');
  assert.equal(clockTime(93784), '1 days, 02:03:04');
});

test('the other commands print what crash prints', () => {
  assert.match(
    text(runqText(buildRunq(subject, { cpus: [1] }), 'queues')),
    /^CPU 1 RUNQUEUE: ffff892745b32100\n {2}CURRENT: PID: 1 {6}TASK: ffff892744698000 {2}COMMAND: "init"\n/,
  );
  assert.match(text(runqText(buildRunq(subject), 'timestamps')), /^ CPU 0: \d{10}\n {8}0000000000 {2}PID: 0 /);
  assert.match(text(irqText(buildIrq(subject), 'affinity')), /\n {4}0 {2}timer {11}0-1\n/);
  assert.match(text(irqText(buildIrq(subject, { gates: true }), 'gates')), /^ {2}\[0\] asm_exc_divide_error\n/);
  assert.match(text(irqText(buildIrq(subject, { softirqs: true }), 'softirqs')), /\[1\].*<run_timer_softirq>/);
  assert.match(text(timerText(buildTimer(subject))), /^JIFFIES\n4294893092\n/);
  assert.match(text(timerText(buildTimer(subject, { hrtimers: true }))), /3184000000 {2}3184000000 +6124586 /);
  assert.match(text(devText(buildDev(subject), 'numbers')), /\n {2}10 {6}misc +[0-9a-f]{16} {2}misc_fops\n/);
  assert.match(text(devText(buildDev(subject, true), 'pci')), /0000:00:02\.0 {2}0100 +1af4:1001 {2}ENDPOINT/);
  assert.match(
    text(sysText(buildSys(subject, ['vmcore']))),
    /\n {7}PANIC: "Kernel panic - not syncing: sysrq triggered crash"$/,
  );
  assert.match(text(machText(buildMach(subject))), /\n +HZ: 250\n[\s\S]*\n +IRQ STACKS:\n +CPU 0: ffffd07640000000\n/);
  assert.match(text(waitqText(buildWaitq(subject, 'kauditd_wait'))), /^PID: 34 .*"kauditd"$/);
});

test('a CPU that there is not is a mistake of who asks', () => {
  for (const build of [buildRunq, buildIrq, buildTimer]) {
    assert.throws(
      () => build(subject, { cpus: [7] }),
      (error) => error instanceof ExhumeError && error.code === 'EXH_USAGE',
    );
  }
});

test('memory of tasks that is not in the dump makes an answer in part, not none', () => {
  const { view, exclude } = damagedView();
  const init = view.struct('task_struct', 0xffff892744698000n);
  exclude(init.pointer('mm'));
  const model = buildPs({ ...subject, kernel: view.kernel });
  assert.equal(model.complete, false);
  assert.ok(model.damage.some(({ part }) => part === 'memory of tasks'));
  assert.equal(model.tasks.length, 63);
  assert.match(text(psText(model, 'table', PLAIN)), / \? +\? +\? {2}init/);
});
