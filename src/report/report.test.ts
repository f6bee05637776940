import assert from 'node:assert/strict';
import { test } from 'node:test';
import { physicalAddress } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { NO_SYMBOLS } from '../kernel/symbols.js';
import type { Cpu, PageTable } from '../machine/machine.js';
import { openSample } from '../testing/sample.js';
import { isAbsence } from './absence.js';
import { buildReport } from './report.js';
import type { Absence } from './schema/common.js';
import type { Report } from './schema/report.js';
import type { Subject } from './subject.js';
import { PLAIN } from './text/page.js';
import { reportText } from './text/report.js';

const sample = openSample();

/** The sample's kernel with some of its facts changed. */
function subjectWith(facts: Partial<Kernel>): Subject {
  const kernel = { ...sample.kernel, ...facts };
  return { ...sample, kernel, search: { ...sample.search, kernels: [kernel] } };
}

const report = (subject: Subject, logLines = 20): Report => buildReport(subject, { bytes: 1, logLines });
const text = (subject: Subject): string => [...reportText(report(subject), PLAIN)].join('\n');

function present<T extends object>(section: T | Absence): T {
  if (isAbsence(section)) assert.fail(section.absent);
  return section;
}

/** A symbol table without the log's variables; VMCOREINFO, which has them too, is taken away with it. */
const withoutLog: Partial<Kernel> = { symbols: NO_SYMBOLS, vmcoreinfo: undefined };

test('the headline says which kernel, where, and what became of it', () => {
  const release = '7.2.12+deb14-cloud-amd64';
  const cases: [Partial<Kernel>, string][] = [
    [{}, `Linux ${release} died: sysrq triggered crash`],
    [{ hostName: 'web7' }, `Linux ${release} on web7 died: sysrq triggered crash`],
    [{ release: undefined }, 'Linux (unknown release) died: sysrq triggered crash'],
    [{ role: 'capture' }, `Linux ${release} was saving the dump of another kernel`],
    [{ role: 'running' }, `Linux ${release} was dumped alive after this: sysrq triggered crash`],
    [
      { ...withoutLog, role: 'running' },
      `Linux ${release}: whether it crashed cannot be told: its log could not be read: `,
    ],
    [
      { ...withoutLog, panicCpu: 3 },
      `Linux ${release} died: it panicked on CPU 3 (panic_cpu), and its log does not say why; `,
    ],
    [
      { ...withoutLog, panicCpu: undefined, crashTime: 1795175945 },
      `Linux ${release} died: it panicked (VMCOREINFO has CRASHTIME), and its log does not say why; `,
    ],
  ];
  for (const [facts, headline] of cases) {
    const told = report(subjectWith(facts)).headline;
    assert.ok(told.startsWith(headline), told);
  }
});

test('the time of death is CRASHTIME, or else the time of the message by the clock', () => {
  const time = (facts: Partial<Kernel>) => present(report(subjectWith(facts)).crash).time;
  const told = { epoch: 1795175946, iso: '2026-11-20T11:59:06Z', source: 'CRASHTIME' };
  assert.deepEqual(time({ crashTime: 1795175946 }), told);
  // The guest's clock when it was about to panic, as the lab wrote it down: 1795175944.
  assert.deepEqual(time({}), { epoch: 1795175945, iso: '2026-11-20T11:59:05Z', source: 'log' });
  assert.equal(time(withoutLog)?.source, 'timekeeper');
  assert.equal(time({ stoppedTime: undefined }), null);
  // No calendar has it.
  assert.equal(time({ crashTime: 1e15 }), null);
});

test('the log is not told twice: the crash text, and the lines before it', () => {
  const { crash, log } = report(sample);
  const { lines, told, total } = present(log);
  assert.equal(lines.length, 20);
  assert.match(lines.at(-1) ?? '', /sysrq: Trigger a crash$/);
  assert.equal(told, present(crash).text.length);
  assert.ok(total > told + 20);
  assert.deepEqual(present(report(sample, 0).log).lines, []);
  assert.equal(present(report(sample, 10000).log).lines.length, total - told);
});

test('a section that cannot be had says why, and the others are answered', () => {
  const subject = subjectWith(withoutLog);
  const answer = report(subject);
  assert.equal(answer.complete, false);
  assert.ok(isAbsence(answer.log) && answer.log.code === 'EXH_NO_SYMBOL');
  assert.equal(present(answer.kernel).release, '7.2.12+deb14-cloud-amd64');
  assert.equal(present(answer.cpus).length, 2);
  assert.match(text(subject), /\nLog\n {2}kernel log: /);
});

test('without a kernel there are still the machine and the file', () => {
  const absent: Absence = { absent: 'no Linux kernel was found', code: 'EXH_NO_KERNEL', hint: null };
  const subject: Subject = { ...sample, kernel: absent, search: { kernels: [], evidence: [] } };
  const answer = report(subject);
  assert.deepEqual([answer.headline, answer.complete], ['No Linux kernel was found', false]);
  assert.equal(present(answer.cpus)[0]?.symbol, null);
  assert.equal(present(answer.machine).cpus, 2);
  assert.equal(text(subject).match(/no Linux kernel was found/g)?.length, 1, 'said once');
});

test('without a machine there is still the file', () => {
  const absent: Absence = { absent: 'no architecture', code: 'EXH_UNKNOWN_ARCHITECTURE', hint: 'a hint' };
  const subject: Subject = { ...sample, machine: absent, kernel: absent, search: { kernels: [], evidence: [] } };
  assert.equal(report(subject).headline, 'Not readable: no architecture');
  assert.match(text(subject), /\n {2}no architecture\n {2}a hint\n {2}file /);
});

test('damage is told once, and makes the answer a partial one', () => {
  const damage = [{ code: 'EXH_BAD_NOTE', part: 'notes', message: 'note 3 is broken' }] as const;
  const answer = report({ ...subjectWith({ damage }), container: { ...sample.container, damage } });
  assert.deepEqual([answer.damage, answer.complete], [damage, false]);
  assert.equal(report({ ...sample, container: { ...sample.container, incomplete: true } }).complete, false);
  assert.equal(report(sample).complete, true);
});

test('a bug is not taken for a missing section', () => {
  const symbols = {
    ...NO_SYMBOLS,
    address: () => {
      throw new TypeError('a bug');
    },
  };
  assert.throws(() => report(subjectWith({ symbols, vmcoreinfo: undefined })), TypeError);
  const broken = {
    ...NO_SYMBOLS,
    address: () => {
      throw new ExhumeError('EXH_BAD_STRUCTURE', 'broken');
    },
  };
  assert.ok(isAbsence(report(subjectWith({ symbols: broken, vmcoreinfo: undefined })).log));
});

test('registers of a CPU that went on in another kernel are told by that kernel', () => {
  const elsewhere: PageTable = Object.create(sample.kernel.pageTable, {
    translate: { value: () => physicalAddress(0x1000) },
  });
  const crashed: Kernel = { ...sample.kernel, index: 0, pageTable: elsewhere };
  const capture: Kernel = { ...sample.kernel, index: 1, role: 'capture' };
  const subject: Subject = { ...sample, kernel: crashed, search: { kernels: [crashed, capture], evidence: [] } };
  const cpus = present(report(subject).cpus);
  assert.deepEqual(
    cpus.map(({ otherKernel, symbol }) => [otherKernel, symbol]),
    [
      [1, 'stop_this_cpu+0x65/0x70'],
      [1, 'delay_tsc+0x37/0xa0'],
    ],
  );
  assert.match(
    text(subject),
    /\n {2}CPU 1 {2}delay_tsc.*, in kernel 1 by the time of the dump {2}died here\n {2}CPU 0/,
  );
  assert.match(text(subject), /\nKernels in this dump .*\n {2}\* {2}0 {2}crashed /);
  const chosen = present(report({ ...subject, kernel: capture }).cpus);
  assert.deepEqual(
    chosen.map(({ otherKernel }) => otherKernel),
    [null, null],
  );
});

test('a CPU without registers says so', () => {
  const cpus: Cpu[] = sample.machine.cpus.map((cpu) => ({ ...cpu, registers: undefined, mode: 'unknown' }));
  const subject: Subject = { ...sample, machine: { ...sample.machine, cpus } };
  assert.match(text(subject), /CPU 1 {2}no registers {2}died here\n {2}the notes hold no registers of CPU 1/);
});

test('what a hostile dump says cannot steer the terminal', () => {
  const hostile = 'a\x1b]0;title\x07\x1b[2J';
  const shown = text(
    subjectWith({ release: hostile, hostName: hostile, commandLine: hostile, buildId: hostile, banner: hostile }),
  );
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is about
  assert.equal(shown.match(/[\x00-\x08\x0b-\x1f\x7f]/), null);
  assert.match(shown, /command line a\\x1b\]0;title\\x07/);
});
