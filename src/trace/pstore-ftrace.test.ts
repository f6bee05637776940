import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KernelView } from '../kernel/kernel-view.js';
import { Random } from '../testing/random.js';
import { openSample } from '../testing/sample.js';
import { openKernelTrace } from './kernel-trace.js';
import type { Trace } from './model.js';
import { withFormatsOf } from './open.js';
import { pstoreCalls, pstoreTrace } from './pstore-ftrace.js';
import { traceFor } from './relocation.js';
import { readEvents } from './ring/events.js';
import { TraceText } from './text/trace-text.js';

const view = new KernelView(openSample().kernel);
const known = openKernelTrace(view);
const kaslr = view.kernel.kaslrOffset ?? 0n;
const NAMES = ['schedule', 'vfs_read', 'vprintk_emit'];

/** As the kernel keeps them: address, caller's address, counter and CPU. */
function records(
  ...calls: readonly (readonly [ip: bigint, parent: bigint, counter: number, cpu: number])[]
): Uint8Array {
  const words = calls.flatMap(([ip, parent, counter, cpu]) => [ip, parent, BigInt(counter * 256 + cpu)]);
  return new Uint8Array(BigUint64Array.from(words).buffer);
}

function lines(trace: Trace): string[] {
  const [buffer] = trace.buffers;
  assert.ok(buffer);
  const text = new TraceText(traceFor(trace, buffer), buffer, readEvents(buffer));
  return [...text.chunks()].join('').trimEnd().split('\n');
}

/** Three calls on two CPUs, their order in the record not that of their counter. */
function callsAt(place: (address: bigint) => bigint): Uint8Array {
  const [first = 0n, second = 0n, third = 0n] = NAMES.map((name) => view.address(name));
  return records(
    [place(second), place(first + 0x30n), 2, 0],
    [place(first), place(third + 0x10n), 1, 1],
    [place(third), place(second + 0x20n), 3, 1],
  );
}

const EXPECTED = [
  '[001] ..... 1: schedule <-vprintk_emit',
  '[000] ..... 2: vfs_read <-schedule',
  '[001] ..... 3: vprintk_emit <-vfs_read',
];

function told(bytes: Uint8Array): string[] {
  const trace = withFormatsOf(pstoreTrace(pstoreCalls(bytes)), known);
  return lines(trace).map((line) => line.slice(line.indexOf('[')).replace(/ +/g, ' '));
}

test('calls come by their counter, with their functions’ names', () => {
  assert.notEqual(kaslr, 0n);
  assert.deepEqual(told(callsAt((address) => address)), EXPECTED);
});

test('newer kernels keep addresses without the KASLR offset', () => {
  assert.deepEqual(told(callsAt((address) => address - kaslr)), EXPECTED);
});

test('a record that begins within a call, and what pstore’s file system makes of one', () => {
  const bytes = callsAt((address) => address);
  assert.equal(pstoreCalls(Uint8Array.from([1, 2, 3, 4, ...bytes])).length, 3);
  const [first = 0n, second = 0n] = NAMES.map((name) => view.address(name));
  const text = `CPU:1 ts:7 ${first.toString(16)}  ${second.toString(16)}  schedule <- vfs_read+0x0/0x1\n`;
  assert.deepEqual(pstoreCalls(new TextEncoder().encode(text.repeat(2))), [
    { cpu: 1, counter: 7n, ip: first, parent: second },
    { cpu: 1, counter: 7n, ip: first, parent: second },
  ]);
});

test('without a kernel the addresses stand for themselves', () => {
  const trace = pstoreTrace(pstoreCalls(records([0xffffffff81000000n, 0xffffffff81000010n, 9, 3])));
  assert.match(lines(trace)[0] ?? '', /\[003\] \.+ +9: 0xffffffff81000000 <-0xffffffff81000010$/);
});

test('any bytes are read as calls, as many as there are, in order', () => {
  const random = new Random(5);
  for (let round = 0; round < 50; round++) {
    const bytes = Uint8Array.from({ length: random.below(24 * 300) }, () => random.below(256));
    const [buffer] = pstoreTrace(pstoreCalls(bytes)).buffers;
    assert.ok(buffer);
    let before = -1;
    let count = 0;
    for (const { time } of readEvents(buffer)) {
      assert.ok(time >= before);
      before = time;
      count++;
    }
    assert.equal(count, Math.floor(bytes.length / 24));
  }
});
