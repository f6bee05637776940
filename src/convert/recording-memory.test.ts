import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Pfn, physicalAddress } from '../bytes/address.js';
import type { PhysicalRange } from '../dump/memory.js';
import { PatchedMemory } from '../testing/patched-memory.js';
import { openSample } from '../testing/sample.js';
import { RecordingMemory } from './recording-memory.js';

const { memory } = openSample().container;
const pages = (first: number, end: number): PhysicalRange => ({
  start: physicalAddress(first * memory.pageSize),
  end: physicalAddress(end * memory.pageSize),
});

test('notes each page that is read, by page or by bytes, and gives what is under it', () => {
  const recording = new RecordingMemory(memory, []);
  assert.deepEqual(recording.page(0x100 as Pfn), memory.page(0x100 as Pfn));
  const bytes = new Uint8Array(memory.pageSize);
  recording.read(physicalAddress(0x200 * memory.pageSize + 8), bytes);
  assert.deepEqual(bytes, memory.bytes(0x200 * memory.pageSize + 8, bytes.length));
  assert.deepEqual(
    [...recording.touched.runs()],
    [
      [0x100, 0x101],
      [0x200, 0x202],
    ],
  );
});

test('notes nothing that is only asked about, or is not there', () => {
  const patched = new PatchedMemory(memory);
  patched.patch(0x100, 'excluded');
  const recording = new RecordingMemory(patched, []);
  assert.equal(recording.state(0x101 as Pfn), 'present');
  assert.equal(recording.page(0x100 as Pfn), 'excluded');
  assert.equal(recording.page((2 ** 40) as Pfn), 'absent');
  assert.equal(recording.touched.count(), 0);
});

test('a search through all memory sees the places that it is told, and the ranges stay the same', () => {
  const recording = new RecordingMemory(memory, [pages(0x100, 0x102)]);
  assert.deepEqual(recording.presentRanges(), [pages(0x100, 0x102)]);
  assert.deepEqual(recording.ranges(), memory.ranges());
  assert.equal(recording.presentBytes(), memory.presentBytes());
});
