import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CauseReport, SignatureReport } from '../../src/report/schema/diagnosis.js';
import type { PsReport } from '../../src/report/schema/ps.js';
import type { Report } from '../../src/report/schema/report.js';
import { deaths } from './deaths.js';
import { exhumeJson, type LabDump, present } from './support.js';

const dumps = new Map(deaths().map((dump) => [dump.title.replace('/dump.elf', ''), dump]));

function named(scene: string): LabDump {
  const dump = dumps.get(scene);
  assert.ok(dump, scene);
  return dump;
}

const reportOf = (scene: string): Report => exhumeJson<Report>(named(scene), 'report').answer;
const signatureOf = (scene: string): SignatureReport => present(reportOf(scene).signature);
const causeOf = (report: Report): CauseReport => present(report.cause);

/** Of each death: its kind, words of its cause, and the function at fault, which is first in its signature. */
const CAUSES: readonly (readonly [scene: string, kind: string, text: RegExp, at: string | undefined])[] = [
  ['null-6.1', 'page-fault', /NULL pointer.*lab_touch/, 'lab_touch'],
  ['null-7.2', 'page-fault', /NULL pointer.*lab_touch/, 'lab_touch'],
  ['poison-6.1', 'general-protection', /0xdead000000000140/, 'lab_touch'],
  ['bug-7.2', 'bug', /exhume_lab_crash\.c/, 'lab_bug'],
  ['warn-6.1', 'warning', /panic on warnings/, 'lab_warn'],
  ['jump-7.2', 'page-fault', /function pointer.*NULL/, 'lab_jump'],
  ['divide-6.1', 'exception', /divide error/, 'lab_divide'],
  ['list-6.1', 'corruption', /list_del corruption/, 'lab_list'],
  ['list-7.2', 'corruption', /list_del corruption/, 'lab_list'],
  ['overflow-6.1', 'stack-overflow', /stack overflowed/, 'lab_recurse'],
  ['overflow-7.2', 'stack-overflow', /stack overflowed/, 'lab_recurse'],
  ['irq-6.1', 'page-fault', /NULL pointer/, 'lab_touch'],
  ['softirq-7.2', 'page-fault', /NULL pointer/, 'lab_touch'],
  ['work-6.1', 'page-fault', /NULL pointer/, 'lab_touch'],
  ['survived-6.1', 'page-fault', /NULL pointer/, 'lab_touch'],
  ['softlockup-6.1', 'soft-lockup', /CPU [01] ran sh/, 'lab_spin'],
  ['softlockup-alive-7.2', 'soft-lockup', /CPU [01] ran sh/, 'lab_spin'],
  ['hardlockup-6.1', 'rcu-stall', /RCU/, 'lab_spin'],
  ['hung-task-7.2', 'hung-task', /exhume_holder.*more than 2 s/, 'lab_holder'],
  ['hung-task-alive-6.1', 'hung-task', /exhume_holder.*more than 120 s/, 'lab_holder'],
  ['oom-6.1', 'out-of-memory', /memory ran out/, undefined],
  ['nmi-7.2', 'nmi', /non-maskable interrupt/, undefined],
];

for (const [scene, kind, text, at] of CAUSES) {
  test(`${scene}: the report knows why it died`, () => {
    const report = reportOf(scene);
    const cause = causeOf(report);
    assert.equal(cause.kind, kind);
    assert.match(cause.text, text);
    assert.ok(cause.evidence.some(({ agrees }) => agrees));
    if (at !== undefined) assert.equal(present(report.signature).frames[0], `${at} [exhume_lab_crash]`);
  });
}

test('two boots of the same crash, and the same on another kernel, have the same signature', () => {
  const ids = ['null-6.1', 'null-again-6.1', 'null-7.2', 'null-again-7.2'].map((scene) => signatureOf(scene).id);
  assert.deepEqual(new Set(ids).size, 1, ids.join(' '));
  const offsets = ['null-6.1', 'null-again-6.1', 'null-7.2', 'null-again-7.2'].map(
    (scene) => named(scene).truth.kernelOffset,
  );
  assert.ok(new Set(offsets).size > 1, 'KASLR put them elsewhere');
  for (const way of ['list', 'overflow', 'irq'])
    assert.equal(signatureOf(`${way}-6.1`).id, signatureOf(`${way}-7.2`).id, way);
});

test('one hang has one signature, whichever of its tasks the log names', () => {
  const scenes = ['hung-task-7.2', 'hung-task-alive-6.1'];
  assert.equal(new Set(scenes.map((scene) => signatureOf(scene).id)).size, 1);
  for (const scene of scenes) {
    const { evidence } = causeOf(reportOf(scene));
    assert.ok(
      evidence.some(({ text }) => /^3 others wait for a lock that exhume_holder \(pid \d+\) holds$/.test(text)),
      scene,
    );
    assert.equal(signatureOf(scene).source, 'tasks');
  }
});

test('different deaths have different signatures', () => {
  const scenes = ['null-6.1', 'poison-6.1', 'bug-7.2', 'warn-6.1', 'jump-7.2', 'divide-6.1', 'list-7.2', 'overflow-6.1']
    .concat(['irq-6.1', 'softirq-7.2', 'work-6.1', 'softlockup-6.1', 'hardlockup-6.1', 'hung-task-7.2', 'oom-6.1'])
    .concat(['nmi-7.2', 'busy-6.1']);
  const ids = new Map(scenes.map((scene) => [signatureOf(scene).id, scene]));
  assert.equal(ids.size, scenes.length, [...ids.values()].join(' '));
});

test('tasks in D state over 120 s are shown as that', () => {
  const { answer } = exhumeJson<PsReport>(named('hung-task-alive-6.1'), 'ps');
  const blocked = answer.tasks.filter(({ blocked }) => (blocked?.nanoseconds ?? 0) > 120e9);
  assert.deepEqual(blocked.map(({ comm }) => comm).sort(), ['exhume_holder', 'sh', 'sh', 'sh']);
  // They were left alone for 300 s.
  for (const task of blocked) assert.ok((task.blocked?.nanoseconds ?? 0) < 400e9);
});

test('a kernel that killed a process for its memory is alive', () => {
  const report = reportOf('oom-kill-7.2');
  assert.equal(present(report.kernel).role, 'running');
  assert.ok('absent' in report.signature);
});
