import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkHandover } from '../check/check.js';
import type { Target } from '../check/target.js';
import { readHandover } from '../open.js';
import { handedOverTrace } from '../testing/ftrace.js';
import type { FtraceTarget } from './check.js';
import type { FtraceState } from './describe.js';
import { eventFingerprint } from './fingerprint.js';

const PAGE = 4096;
const EVENTS = [
  { id: 1, name: 'function', sizes: [8, 8], fixed: true },
  { id: 20, name: 'sched_switch', sizes: [16, 4, 4, 8, 16, 4, 4] },
  { id: 21, name: 'sched_waking', sizes: [16, 4, 4, 4] },
];
const OWN: FtraceTarget = { events: EVENTS, firstDynamic: 20, cpus: 2, descriptorSize: 56 };

function findings(target: Partial<FtraceTarget> | undefined, change: Partial<FtraceState> = {}, size = PAGE): string[] {
  const rings = [0, 1].map((cpu) => ({
    cpu,
    pages: [0, 1, 2].map((index) => ({
      descriptor: { address: 0x1000000 + (cpu * 3 + index) * 64, size: 56 },
      page: { address: 0x2000000 + (cpu * 3 + index) * size, size },
    })),
  }));
  const state = { flags: new Uint8Array(4), rings, events: EVENTS, firstDynamic: 20, ...change };
  const handover = readHandover(handedOverTrace(state).tree, { memory: undefined, blobs: new Map() });
  const told: Target | undefined = target && {
    release: undefined,
    takesHandovers: true,
    handovers: [handover],
    ftrace: { ...OWN, ...target },
  };
  return checkHandover(handover, undefined, told)
    .filter(({ severity }) => severity !== 'note')
    .map(({ severity, check, about, message }) => `${severity} ${check} ${about}: ${message}`);
}

test('a kernel like that which wrote the trace takes all of it', () => {
  assert.deepEqual(findings({}), []);
  assert.deepEqual(findings(undefined), []);
});

test('kinds of events that the target lacks, or has with other fields', () => {
  const [kind, other, waking] = EVENTS;
  assert.ok(kind && other && waking);
  const changed = { ...waking, sizes: [16, 4, 4] };
  assert.deepEqual(findings({ events: [kind, other, changed] }), [
    'lost events /ftrace: 1 of 22 kinds of events are not those of the target, which cannot show them: ' +
      `0x${eventFingerprint(waking).toString(16).padStart(8, '0')} (21)`,
  ]);
  const many = Array.from({ length: 12 }, (_, index) => ({ id: 30 + index, name: `event${index}`, sizes: [] }));
  assert.match(findings({}, { events: [...EVENTS, ...many] })[0] ?? '', /12 of 34 kinds .* and 4 more$/);
});

test('a fingerprint that several kinds have', () => {
  const twin = { ...(EVENTS[2] ?? assert.fail()), id: 40 };
  assert.match(findings({ events: [...EVENTS, twin] })[0] ?? '', /^lost events \/ftrace: 1 kinds .* takes one for all/);
});

test('another number of kinds with fixed numbers', () => {
  assert.deepEqual(findings({ firstDynamic: 21 }), [
    'lost events /ftrace: has 19 kinds of events with fixed numbers, and the target 20: some are taken for others',
  ]);
});

test('CPUs that the target does not have, descriptors and pages of other sizes', () => {
  assert.deepEqual(findings({ cpus: 1 }), ['lost cpu /ftrace/global-trace/cpu1: the target has no CPU 1: it has 1']);
  const [first] = findings({ descriptorSize: 64 });
  assert.equal(
    first,
    "lost descriptor /ftrace/global-trace/cpu0: struct buffer_page of 56 bytes: the target's has 64, and is taken for it",
  );
  assert.deepEqual(findings(undefined, {}, 2 * PAGE), [
    'lost pages /ftrace/global-trace/cpu0: 3 of its pages are not of 4096 bytes, as which they are taken',
    'lost pages /ftrace/global-trace/cpu1: 3 of its pages are not of 4096 bytes, as which they are taken',
  ]);
});
