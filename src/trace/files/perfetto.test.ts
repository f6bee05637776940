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
import { perfettoTrace } from './perfetto.js';

/** A message taken apart: its fields by number, each as often as it stands there. */
type Message = Map<number, (bigint | Uint8Array)[]>;

function decode(bytes: Uint8Array): Message {
  const fields: Message = new Map();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      assert.ok(byte !== undefined && shift < 70n, 'a varint that does not end');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const key = Number(varint());
    const field = key >> 3;
    const list = fields.get(field) ?? [];
    fields.set(field, list);
    if ((key & 7) === 0) {
      list.push(varint());
    } else {
      assert.equal(key & 7, 2);
      const length = Number(varint());
      assert.ok(at + length <= bytes.length, 'a message that ends before its field');
      list.push(bytes.subarray(at, at + length));
      at += length;
    }
  }
  return fields;
}

function messages(message: Message, field: number): Message[] {
  return (message.get(field) ?? []).map((bytes) => {
    assert.ok(bytes instanceof Uint8Array);
    return decode(bytes);
  });
}

function number(message: Message, field: number): bigint | undefined {
  const value = message.get(field)?.[0];
  return typeof value === 'bigint' ? value : undefined;
}

function text(message: Message, field: number): string | undefined {
  const value = message.get(field)?.[0];
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : undefined;
}

function packets(trace: Trace, buffer: TraceBuffer): Message[] {
  return messages(decode(Buffer.concat([...perfettoTrace(trace, buffer, readEvents(buffer))])), 1);
}

test('events that Perfetto knows are written in its own messages, each on its CPU', () => {
  const buffer = writtenBuffer();
  const bundles = packets(writtenTrace([buffer]), buffer).flatMap((packet) => messages(packet, 1));
  const events = bundles.flatMap((bundle) => messages(bundle, 2).map((event) => ({ cpu: number(bundle, 1), event })));
  assert.equal(events.length, 240);
  const first = events.find(({ cpu, event }) => cpu === 1n && event.has(4));
  assert.ok(first);
  assert.equal(number(first.event, 1), 5_000_001_001n);
  assert.equal(number(first.event, 2), 1n);
  const [change] = messages(first.event, 4);
  assert.ok(change);
  assert.deepEqual([text(change, 1), number(change, 2), number(change, 6)], ['worker', 77n, 1n]);
  const [mark] = messages(events[0]?.event ?? new Map(), 3);
  assert.equal(mark && text(mark, 2), 'mark 0.0 \n');
});

test('lost events are told in the bundle of those behind them', () => {
  const buffer = writtenBuffer();
  const bundles = packets(writtenTrace([buffer]), buffer).flatMap((packet) => messages(packet, 1));
  assert.equal(bundles.filter((bundle) => number(bundle, 3) === 1n).length, 4);
});

test('other events are described before the first of them', () => {
  const other: EventFormat = {
    id: 900,
    system: 'lab',
    name: 'other',
    fields: [
      { name: 'count', type: 'int', offset: 8, size: 4, signed: true },
      { name: 'words', type: 'u16[2]', offset: 12, size: 4, signed: false },
      { name: 'big', type: 'u64', offset: 16, size: 8, signed: false },
    ],
    printFormat: '"%d", REC->count',
  };
  const writer = new RecordWriter(100n);
  const payload = new Uint8Array(16);
  const view = new DataView(payload.buffer);
  view.setInt32(0, -5, true);
  view.setUint16(4, 7, true);
  view.setUint16(6, 8, true);
  view.setBigUint64(8, 2n ** 64n - 2n, true);
  writer.event(100n, SWITCH.id, 1, switchPayload('sh', 1, 2));
  writer.event(200n, other.id, 1, payload);
  const buffer = bufferOf([[writer.done()]]);
  const bundles = packets(writtenTrace([buffer], [SWITCH, other]), buffer).flatMap((packet) => messages(packet, 1));
  const described = bundles.findIndex((bundle) => bundle.has(11));
  const used = bundles.findIndex((bundle) => messages(bundle, 2).some((event) => event.has(65536)));
  assert.ok(described >= 0 && described < used);
  const [descriptor] = messages(bundles[described] ?? new Map(), 11);
  assert.ok(descriptor);
  assert.equal(number(descriptor, 1), 65536n);
  const [type] = messages(descriptor, 2);
  assert.equal(type && text(type, 1), 'other');
  assert.deepEqual(
    messages(type ?? new Map(), 2).map((field) => [
      text(field, 1),
      number(field, 3),
      number(field, 4),
      number(field, 5),
    ]),
    [
      ['count', 1n, 1n, 3n],
      ['words', 2n, 3n, 4n],
      ['big', 3n, 1n, 4n],
    ],
  );
  const event = messages(bundles[used] ?? new Map(), 2).find((one) => one.has(65536));
  const [values] = messages(event ?? new Map(), 65536);
  assert.ok(values);
  assert.equal(BigInt.asIntN(64, number(values, 1) ?? 0n), -5n);
  assert.deepEqual(values.get(2), [7n, 8n]);
  assert.equal(number(values, 3), 2n ** 64n - 2n);
});

test('the kernel, the wall clock and the tasks stand before the events', () => {
  const writer = new RecordWriter(5000n);
  writer.event(5000n, PRINT.id, 77, printPayload('B|77|work'));
  const buffer = bufferOf([[writer.done()]]);
  const trace = writtenTrace([buffer]);
  const named: Trace = {
    ...trace,
    clocks: { toReal: new Map([['local', 1_700_000_000_000_000_000n]]) },
    names: { ...trace.names, threadGroups: () => [[77, 70]] as const },
  };
  const [system, clocks, tasks] = packets(named, buffer);
  assert.equal(text(messages(messages(system ?? new Map(), 45)[0] ?? new Map(), 1)[0] ?? new Map(), 3), '6.1.0-test');
  const [boot, wall] = messages(messages(clocks ?? new Map(), 6)[0] ?? new Map(), 1);
  assert.deepEqual([number(boot ?? new Map(), 1), number(boot ?? new Map(), 2)], [6n, 5000n]);
  assert.deepEqual([number(wall ?? new Map(), 1), number(wall ?? new Map(), 2)], [1n, 1_700_000_000_000_005_000n]);
  const [thread] = messages(messages(tasks ?? new Map(), 2)[0] ?? new Map(), 2);
  assert.deepEqual(thread && [number(thread, 1), text(thread, 2), number(thread, 3)], [77n, 'worker', 70n]);
});
