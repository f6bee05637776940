import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bufferOf, RecordWriter } from '../../testing/sub-buffers.js';
import {
  PRINT,
  printPayload,
  SWITCH,
  switchPayload,
  writtenBuffer,
  writtenTrace,
} from '../../testing/written-trace.js';
import type { EventFormat, Trace, TraceBuffer } from '../model.js';
import { readEvents } from '../ring/events.js';
import { type EventSelection, eventTest } from './filter.js';
import { foldedStacks } from './folded.js';
import { jsonLines } from './json-lines.js';
import { TraceText } from './trace-text.js';

const STACK: EventFormat = {
  id: 4,
  system: 'ftrace',
  name: 'kernel_stack',
  fields: [
    { name: 'size', type: 'int', offset: 8, size: 4, signed: true },
    { name: 'caller', type: 'unsigned long[8]', offset: 16, size: 64, signed: false },
  ],
  printFormat: '""',
};
const ENTRY: EventFormat = {
  id: 11,
  system: 'ftrace',
  name: 'funcgraph_entry',
  fields: [
    { name: 'func', type: 'unsigned long', offset: 8, size: 8, signed: false },
    { name: 'depth', type: 'int', offset: 16, size: 4, signed: true },
  ],
  printFormat: '""',
};
const EXIT: EventFormat = {
  id: 10,
  system: 'ftrace',
  name: 'funcgraph_exit',
  fields: [
    { name: 'func', type: 'unsigned long', offset: 8, size: 8, signed: false },
    { name: 'depth', type: 'int', offset: 16, size: 4, signed: true },
    { name: 'overrun', type: 'unsigned int', offset: 20, size: 4, signed: false },
    { name: 'calltime', type: 'unsigned long long', offset: 24, size: 8, signed: false },
    { name: 'rettime', type: 'unsigned long long', offset: 32, size: 8, signed: false },
  ],
  printFormat: '""',
};
const MARK_WRITE = 0xffffffff81000100n;
const NEXT = 0xffffffff81000200n;

function longs(...values: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values).buffer);
}

function linesOf(buffer: TraceBuffer, formats: readonly EventFormat[] = [SWITCH, PRINT, STACK, ENTRY, EXIT]): string[] {
  const trace = writtenTrace([buffer], formats);
  const text = new TraceText(trace, buffer, readEvents(buffer));
  return [...text.chunks()].join('').split('\n');
}

function passing(buffer: TraceBuffer, trace: Trace, selection: EventSelection): number {
  const stream = readEvents(buffer);
  const test = eventTest(trace, selection, stream.base);
  let count = 0;
  for (const event of stream) if (test(event)) count++;
  return count;
}

test('an event has its task, CPU, flags and time, rounded to microseconds, before what it says', () => {
  const writer = new RecordWriter(1_999_999_400n);
  writer.event(1_999_999_400n, SWITCH.id, 1, switchPayload('sh', 5, 6), 0x01 | 0x04 | 0x08);
  writer.event(1_999_999_500n, PRINT.id, 99, printPayload('hello'));
  assert.deepEqual(linesOf(bufferOf([[writer.done()]])), [
    '            init-1       [000] dnh..     1.999999: sched_switch: prev_comm=sh prev_pid=5 ==> next_pid=6',
    '           <...>-99      [000] .....     2.000000: tracing_mark_write: hello',
    '',
  ]);
});

test('clocks that do not count nanoseconds are shown as they count', () => {
  const writer = new RecordWriter(123_456n);
  writer.event(123_456n, SWITCH.id, 0, switchPayload('sh', 5, 6));
  const [line] = linesOf(bufferOf([[writer.done()]], { clock: 'counter' }));
  assert.match(line ?? '', /^ {10}<idle>-0 {7}\[000\] \.{5} {7}123456: sched_switch: /);
});

test('lost events are told before the event behind them, on its CPU', () => {
  const lines = linesOf(writtenBuffer());
  assert.equal(lines.filter((line) => line === 'CPU:0 [LOST EVENTS]').length, 1);
  assert.equal(lines.filter((line) => line === 'CPU:1 [LOST 7 EVENTS]').length, 1);
});

test('events before the time at which the buffer starts are left out', () => {
  const writer = new RecordWriter(100n);
  for (const time of [100n, 200n, 300n]) writer.event(time, SWITCH.id, 1, switchPayload('sh', 5, 6));
  assert.equal(linesOf(bufferOf([[writer.done()]], { timeStart: 200n })).length - 1, 2);
});

test('where the buffer of a CPU begins is told, but not among the first two events', () => {
  const cpus = [0, 1, 2].map((cpu) => {
    const writer = new RecordWriter(BigInt(100 + cpu));
    writer.event(BigInt(100 + cpu), SWITCH.id, 1, switchPayload('sh', 5, 6));
    return writer.done();
  });
  const statistics = { entries: 1, overrun: 9, commitOverrun: 0, droppedEvents: 0, readEvents: 0 };
  const buffer = bufferOf(cpus.map((one) => [one]));
  const lines = linesOf({ ...buffer, cpus: buffer.cpus.map((cpu) => ({ ...cpu, statistics })) });
  assert.deepEqual(
    lines.map((line) => line.startsWith('#')),
    [false, false, true, false, false],
  );
});

test('a kind of event that is not known is told by its number', () => {
  const writer = new RecordWriter(100n);
  writer.event(100n, 999, 1);
  assert.match(linesOf(bufferOf([[writer.done()]]))[0] ?? '', /: Unknown type 999$/);
});

test('a stack is one line for each function, up to its end', () => {
  const writer = new RecordWriter(100n);
  writer.event(100n, STACK.id, 1, longs(2n, MARK_WRITE + 0x10n, 0n, 2n ** 64n - 1n, NEXT));
  const lines = linesOf(bufferOf([[writer.done()]]));
  assert.deepEqual(lines.slice(1), [' => tracing_mark_write', ' => 0', '']);
});

test('functions nest by their calls; a call without others inside is one line', () => {
  const writer = new RecordWriter(1000n);
  writer.event(1000n, ENTRY.id, 1, longs(MARK_WRITE, 0n));
  writer.event(2000n, ENTRY.id, 1, longs(NEXT - 0x100n + 0x40n, 1n));
  writer.event(3000n, EXIT.id, 1, longs(NEXT - 0x100n + 0x40n, 1n, 2000n, 14_345n));
  writer.event(4000n, PRINT.id, 1, printPayload('inside'));
  writer.event(5000n, EXIT.id, 1, longs(MARK_WRITE, 0n, 1000n, 2_001_000n));
  writer.event(6000n, EXIT.id, 77, longs(MARK_WRITE, 0n, 1000n, 1500n));
  assert.deepEqual(linesOf(bufferOf([[writer.done()]], { tracer: 'function_graph' })), [
    ' 0)               |  tracing_mark_write() {',
    ' 0) + 12.345 us   |    tracing_mark_write();',
    ' 0)               |  /* inside */',
    ' 0) # 2000.000 us |  }',
    ' ------------------------------------------',
    ' 0)     init-1     =>   worker-77   ',
    ' ------------------------------------------',
    '',
    ' 0)   0.500 us    |  } /* tracing_mark_write */',
    '',
  ]);
});

test('the latency format tells how long it is from the start, and marks long pauses', () => {
  const writer = new RecordWriter(1_000_000n);
  writer.event(1_000_000n, SWITCH.id, 1, switchPayload('sh', 5, 6), 0x01);
  writer.event(3_000_000n, SWITCH.id, 77, switchPayload('sh', 5, 6));
  const options = new Set(['latency-format', 'context-info', 'irq-info']);
  const lines = linesOf(bufferOf([[writer.done()]], { options, timeStart: 500_000n }));
  assert.deepEqual(
    lines.map((line) => line.replace(/: sched_switch.*/, '')),
    ['    init-1         0d....  500us#', '  worker-77        0..... 2500us ', ''],
  );
});

test('a record that is shorter than its format does not end the text', () => {
  const writer = new RecordWriter(100n, 64);
  writer.event(100n, STACK.id, 1);
  writer.event(200n, ENTRY.id, 1);
  writer.event(300n, SWITCH.id, 1);
  assert.equal(linesOf(bufferOf([[writer.done()]])).length - 1, 3);
});

test('filters are those of the kernel', () => {
  const buffer = writtenBuffer();
  const trace = writtenTrace([buffer]);
  const count = (...filters: readonly string[]): number => {
    return passing(buffer, trace, { filters });
  };
  const switches = 192;
  assert.equal(count('prev_pid == 77'), switches);
  assert.equal(count('prev_pid != 77'), 0);
  assert.equal(count('next_pid > 0x10 && next_pid <= 020'), 0);
  assert.equal(count('next_pid >= 1 && next_pid < 3'), 12);
  assert.equal(count('prev_comm ~ "work*"'), switches);
  assert.equal(count('prev_comm == worker && !(next_pid & 1)'), 96);
  assert.equal(count('(next_pid == 1 || next_pid == 2) && CPU == 1'), 6);
  assert.equal(count('COMM == init'), switches);
  assert.equal(count('print: ip.function == tracing_mark_write'), 48);
  assert.equal(count('sched_*: next_pid == 1', 'ftrace:print: ip != 0'), 54);
});

test('filters that cannot be are told with the place and what was expected', () => {
  const trace = writtenTrace([]);
  const bad = (filter: string) => () => eventTest(trace, { filters: [filter] }, 0n);
  assert.throws(bad('prev_pid =='), { code: 'EXH_USAGE' });
  assert.throws(bad('prev_pid == 1 &&'), { code: 'EXH_USAGE' });
  assert.throws(bad('(prev_pid == 1'), { code: 'EXH_USAGE' });
  assert.throws(bad('no_such_field == 1'), { code: 'EXH_USAGE' });
  assert.throws(bad('prev_pid == word'), { code: 'EXH_USAGE' });
  assert.throws(bad('prev_comm > "a"'), { code: 'EXH_USAGE' });
  assert.throws(bad(`${'('.repeat(5000)}prev_pid == 1`), { code: 'EXH_USAGE' });
});

test('events are chosen by name, task and time', () => {
  const buffer = writtenBuffer();
  const trace = writtenTrace([buffer]);
  const count = (selection: EventSelection): number => passing(buffer, trace, selection);
  assert.equal(count({}), 240);
  assert.equal(count({ events: ['sched:*'] }), 192);
  assert.equal(count({ events: ['ftrace/print', 'no*'] }), 48);
  assert.equal(count({ pids: [77] }), 48);
  assert.equal(count({ comms: ['in?t'] }), 192);
  assert.equal(count({ since: 5_000_001_000n, until: 5_000_002_001n }), 4);
});

test('every line of JSON is an object with the fields, the text and who wrote it', () => {
  const buffer = writtenBuffer();
  const lines = [...jsonLines(writtenTrace([buffer]), buffer, readEvents(buffer))].join('').trimEnd().split('\n');
  assert.equal(lines.length, 240);
  assert.deepEqual(JSON.parse(lines[2] ?? ''), {
    timestamp: 5_000_001_000,
    cpu: 0,
    pid: 1,
    comm: 'init',
    flags: 'd....',
    system: 'sched',
    event: 'sched_switch',
    fields: { prev_comm: 'worker', prev_pid: 77, next_pid: 1 },
    text: 'sched_switch: prev_comm=worker prev_pid=77 ==> next_pid=1',
  });
});

test('stacks are counted by what they belong to', () => {
  const writer = new RecordWriter(100n);
  for (let index = 0; index < 3; index++) {
    writer.event(BigInt(200 + index * 10), SWITCH.id, 77, switchPayload('sh', 5, 6));
    writer.event(BigInt(201 + index * 10), STACK.id, 77, longs(2n, MARK_WRITE, NEXT - 0x200n + 4n));
  }
  writer.event(300n, PRINT.id, 1, printPayload('x'));
  writer.event(301n, STACK.id, 1, longs(1n, MARK_WRITE));
  const buffer = bufferOf([[writer.done()]]);
  const trace = writtenTrace([buffer], [SWITCH, PRINT, STACK]);
  assert.deepEqual(foldedStacks(trace, readEvents(buffer)), [
    'init;tracing_mark_write;[print] 1',
    'worker;_text;tracing_mark_write;[sched_switch] 3',
  ]);
});
