import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Frame } from '../kernel/diagnosis/frame.js';
import { printedCrash } from '../testing/printed-crash.js';
import { openSample } from '../testing/sample.js';
import { isAbsence } from './absence.js';
import { causeReport, kindOf, signatureReport, type Witnesses } from './cause.js';
import type { BlockedReport, CauseReport, MemoryReport } from './schema/diagnosis.js';

const { kernel, machine } = openSample();

const frames = (names: string): Frame[] =>
  names.split(' ').map((name) => ({ name, module: undefined, reliable: true, stack: undefined }));

/** A kernel of which only the log is left, and whatever else a test gives. */
function causeOf(name: string | undefined, more: Partial<Witnesses> = {}): CauseReport {
  const witnesses: Witnesses = {
    kernel: { ...kernel, panicCpu: undefined, crashTime: undefined },
    machine: undefined,
    log: name === undefined ? undefined : printedCrash(name),
    stack: undefined,
    cpu: undefined,
    stuck: undefined,
    hang: undefined,
    blocked: undefined,
    memory: undefined,
    ...more,
  };
  const signature = signatureReport(witnesses, undefined);
  return causeReport(witnesses, isAbsence(signature) ? undefined : signature);
}

const said = (cause: CauseReport, source: string): [string, boolean][] =>
  cause.evidence.filter((one) => one.source === source).map(({ text, agrees }) => [text, agrees]);

test('the stack bears the log out, or speaks against it', () => {
  const stackOf = (name: string, names: string) => said(causeOf(name, { cpu: 0, stack: frames(names) }), 'stack');
  assert.deepEqual(stackOf('7.2-null', 'panic oops_end page_fault_oops exc_page_fault uptime_proc_show'), [
    ['page_fault_oops is on the stack of CPU 0', true],
    ['uptime_proc_show is on it, too', true],
  ]);
  assert.deepEqual(stackOf('7.2-null', 'panic out_of_memory'), [['out_of_memory is on the stack of CPU 0', false]]);
  assert.deepEqual(stackOf('7.2-null', 'cpu_idle uptime_proc_show'), [
    ['uptime_proc_show is on the stack of CPU 0', true],
  ]);
  assert.deepEqual(stackOf('7.2-overflow', 'panic oops_end page_fault_oops'), [
    ['page_fault_oops is on the stack of CPU 0', true],
  ]);
  assert.deepEqual(stackOf('7.2-null', 'do_idle'), []);
});

test('a CPU that was stuck is looked at where the kernel lives', () => {
  const alive = { ...kernel, role: 'running', panicCpu: undefined, crashTime: undefined } as const;
  const still = (names: string) =>
    said(causeOf('6.1-soft', { kernel: alive, stuck: { cpu: 1, stack: frames(names) } }), 'stack');
  assert.deepEqual(still('uptime_proc_show seq_read_iter'), [
    ['uptime_proc_show is still on the stack of CPU 1', true],
  ]);
  assert.deepEqual(still('do_idle'), []);
});

test('CR2 counts where it still holds the address that the log tells', () => {
  const machineWith = (cr2: bigint): Witnesses['machine'] => {
    const cpus = machine.cpus.map((cpu) => ({ ...cpu, control: new Map([['cr2', cr2]]) }));
    return { ...machine, cpus };
  };
  const registers = (cr2: bigint) => said(causeOf('7.2-null', { cpu: 1, machine: machineWith(cr2) }), 'registers');
  assert.deepEqual(registers(0x20n), [['CR2 of CPU 1 still holds the address, 0x20', true]]);
  assert.deepEqual(registers(0x28n), []);
});

test('memory that there was enough of speaks against an out-of-memory panic', () => {
  const memory = { verdict: 'enough', text: 'there was enough' } as MemoryReport;
  assert.deepEqual(said(causeOf('6.1-oom', { memory }), 'memory'), [['there was enough', false]]);
  assert.deepEqual(said(causeOf('6.1-oom', { memory: { ...memory, verdict: 'exhausted' } }), 'memory'), [
    ['there was enough', true],
  ]);
  assert.deepEqual(said(causeOf('7.2-null', { memory }), 'memory'), []);
});

test('tasks in D are told of, also where nothing else is wrong', () => {
  const task = { pid: 7, task: '0x1', cpu: 0, comm: 'cp', seconds: 300 };
  const stack = { absent: 'gone', code: null, hint: null };
  const blocked: BlockedReport = {
    seconds: 120,
    waiting: 1,
    unknown: 0,
    further: 2,
    groups: [{ tasks: [task], stack }],
  };
  const alive = causeOf(undefined, {
    kernel: { ...kernel, role: 'running' },
    log: { ...printedCrash('6.1-oom'), cause: undefined },
    blocked,
  });
  assert.deepEqual(
    [alive.kind, alive.text],
    ['none', 'nothing says that it crashed; 3 tasks were in D state for over 120 s'],
  );
  assert.deepEqual(said(alive, 'tasks'), [['3 tasks were in D state for over 120 s', true]]);
});

test('without a log the stack tells the kind; without either it only panicked', () => {
  const lost = { kernel, log: undefined };
  assert.equal(kindOf({ ...lost, stack: frames('panic watchdog_timer_fn') }), 'soft-lockup');
  assert.equal(kindOf({ ...lost, stack: undefined }), 'panic');
  assert.equal(kindOf({ kernel: { ...kernel, role: 'running' }, log: undefined, stack: undefined }), undefined);
  assert.equal(causeOf(undefined).text, 'it panicked, and neither its log nor its stack says why');
  assert.match(causeOf(undefined, { stack: frames('panic out_of_memory') }).text, /^memory ran out/);
});
