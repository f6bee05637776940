import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySink } from '../../bytes/byte-sink.js';
import { MemorySource } from '../../bytes/byte-source.js';
import { isExhumeError } from '../../bytes/errors.js';
import { Random } from '../../testing/random.js';
import { writtenBuffer, writtenTrace } from '../../testing/written-trace.js';
import type { Trace, TraceBuffer } from '../model.js';
import { readEvents } from '../ring/events.js';
import { readTraceDat } from './trace-dat-read.js';
import { writeTraceDat } from './trace-dat-write.js';

const VERSIONS = [6, 7] as const;

function written(trace: Trace, version: 6 | 7, buffers: readonly TraceBuffer[] = trace.buffers): Uint8Array {
  const sink = new MemorySink();
  writeTraceDat(trace, sink, { version, buffers });
  return sink.bytes.slice();
}

/** Every event with its record's bytes. */
function eventsOf(buffer: TraceBuffer): unknown[] {
  const stream = readEvents(buffer);
  return Array.from(stream, ({ cpu, time, type, pid, bytes, start, length, lost }) => ({
    cpu,
    time: stream.base + BigInt(time),
    type,
    pid,
    record: Buffer.from(bytes.subarray(start, start + length)).toString('hex'),
    lost,
  }));
}

for (const version of VERSIONS) {
  test(`version ${version}: what is written reads back, event by event`, () => {
    const top = writtenBuffer();
    const instance = writtenBuffer({ instance: 'other', clock: 'mono' });
    const trace = writtenTrace([top, instance]);
    const back = readTraceDat(new MemorySource(written(trace, version)));
    assert.deepEqual(back.damage, []);
    assert.deepEqual(
      back.buffers.map(({ instance: name }) => name),
      [undefined, 'other'],
    );
    for (const [index, buffer] of trace.buffers.entries()) {
      const read = back.buffers[index];
      assert.ok(read);
      assert.deepEqual(eventsOf(read), eventsOf(buffer));
    }
    assert.deepEqual(back.formats.all, trace.formats.all);
    assert.deepEqual(back.formats.common, trace.formats.common);
    assert.equal(back.release, trace.release);
  });

  test(`version ${version}: names come along`, () => {
    const trace = writtenTrace([writtenBuffer()]);
    const { names } = readTraceDat(new MemorySource(written(trace, version)));
    assert.deepEqual([...names.comms()], [...trace.names.comms()]);
    assert.deepEqual([...names.printkFormats()], [...trace.names.printkFormats()]);
    assert.deepEqual([...names.symbols()], [...trace.names.symbols()]);
    assert.equal(names.symbol(0xffffffff81000110n)?.symbol.name, 'tracing_mark_write');
  });

  test(`version ${version}: only the wanted events of the wanted CPUs`, () => {
    const trace = writtenTrace([writtenBuffer()]);
    const sink = new MemorySink();
    const wanted = () => (event: { readonly type: number }) => event.type === 5;
    const count = writeTraceDat(trace, sink, { version, buffers: trace.buffers, cpus: [1], wanted });
    const [buffer] = readTraceDat(new MemorySource(sink.bytes)).buffers;
    assert.ok(buffer);
    const events = [...readEvents(buffer)].length;
    assert.equal(count, 24);
    assert.equal(events, 24);
    for (const { cpu, type } of readEvents(buffer)) assert.deepEqual([cpu, type], [1, 5]);
  });

  test(`version ${version}: a cut file tells what is missing and gives the rest`, () => {
    const whole = written(writtenTrace([writtenBuffer()]), version);
    // Version 7 has its options at the end: without them nothing can be found.
    const cut = readTraceDat(new MemorySource(whole.subarray(0, whole.length - (version === 6 ? 5000 : 10))));
    assert.ok(cut.damage.length > 0);
    if (version === 6) assert.ok(cut.buffers.flatMap((buffer) => [...readEvents(buffer)]).length > 0);
  });

  test(`version ${version}: damaged files end in errors of ours or in damage that is told`, () => {
    const whole = written(writtenTrace([writtenBuffer()]), version);
    const random = new Random(version);
    for (let round = 0; round < 400; round++) {
      const bytes = whole.slice(0, round % 4 === 0 ? random.below(whole.length) : whole.length);
      for (let change = 0; change < 8 && bytes.length > 0; change++) {
        // Numbers that steer the reading stand at the front, and in version 7 at the end.
        const near = random.below(2) === 0 ? random.below(Math.min(bytes.length, 400)) : random.below(bytes.length);
        bytes[version === 7 && round % 2 === 0 ? bytes.length - 1 - near : near] = random.below(256);
      }
      try {
        const { buffers } = readTraceDat(new MemorySource(bytes));
        for (const buffer of buffers.slice(0, 4)) for (const event of readEvents(buffer)) assert.ok(event.length >= 8);
      } catch (error) {
        assert.ok(isExhumeError(error), String(error));
      }
    }
  });
}
