import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SparseMemory } from '../../dump/testing/sparse-memory.js';
import type { Handover } from '../../handover/model.js';
import { readHandover } from '../../handover/open.js';
import { AREAS, reservedTrace, TREE } from '../../testing/reserved-trace.js';
import { persistentTraceOf } from '../open.js';
import { readEvents } from '../ring/events.js';
import { reservedBuffers } from './reserved-buffers.js';

function machine(direction: Handover['direction'] = 'outgoing'): { memory: SparseMemory; handover: Handover } {
  const { memory, blob } = reservedTrace();
  const facts = { direction, address: TREE, scratch: [], evidence: [] };
  return { memory, handover: readHandover(blob, { memory, blobs: new Map() }, facts) };
}

test('a persistent buffer is found by the area of reserve_mem that it is in, and called as that', () => {
  const { memory, handover } = machine();
  const { buffers, evidence } = persistentTraceOf(reservedBuffers([handover], memory));
  assert.deepEqual(
    buffers.map(({ instance, damage }) => [instance, damage]),
    [['trace', []]],
  );
  assert.deepEqual(evidence, [
    'trace: reserve_mem trace at 0x100000, 256 KiB, of the outgoing tree (kho-v4) at 0x50000',
  ]);
  let count = 0;
  for (const _ of readEvents(buffers[0] ?? assert.fail())) count++;
  assert.equal(count, 523);
});

test('an area that both handovers of a machine name is one buffer', () => {
  const { memory, handover } = machine();
  const found = [...reservedBuffers([machine('incoming').handover, handover], memory)];
  assert.deepEqual(
    found.map(({ name }) => name),
    ['trace'],
  );
  assert.match(found[0]?.evidence ?? '', /of the incoming tree .* and the outgoing tree \(kho-v4\) at 0x50000$/);
});

test('memory that is not in the dump, or larger than the machine, is no buffer', () => {
  const { memory, handover } = machine();
  memory.pages.set(AREAS.trace / 4096, 'excluded');
  assert.deepEqual([...reservedBuffers([handover], memory)], []);
  const other = machine();
  const wide = other.handover.users.map((user) => ({
    ...user,
    areas: user.areas.map((area) => ({ ...area, size: 2 ** 40 })),
  }));
  assert.deepEqual([...reservedBuffers([{ ...other.handover, users: wide }], other.memory)], []);
});
