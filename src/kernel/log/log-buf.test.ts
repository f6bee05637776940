import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ExhumeError, isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { type LogFixture, logFixture } from '../../testing/log-fixture.js';
import { Random } from '../../testing/random.js';
import { readKernelLog } from './read.js';

const NAMES = ['linux-4.4-log-buf', 'linux-5.4-log-buf'] as const;

/** The buffer's address, its variables, and where its records begin, oldest first. */
function layOut(name: string): {
  fixture: LogFixture;
  address: bigint;
  first: number;
  next: number;
  size: number;
  header: number;
  offsets: number[];
} {
  const fixture = logFixture(name);
  const { memory, vmcoreinfo } = fixture;
  const u32 = (symbol: string) => memory.u32(vmcoreinfo.symbol(symbol) ?? 0n);
  const address = memory.pointer(vmcoreinfo.symbol('log_buf') ?? 0n);
  const [size, first, next] = [u32('log_buf_len'), u32('log_first_idx'), u32('log_next_idx')];
  const offsets: number[] = [];
  for (let at = first; at !== next; ) {
    const length = memory.u16(address + BigInt(at + 8));
    if (length > 0) offsets.push(at);
    at = length === 0 ? 0 : at + length;
  }
  return { fixture, address, first, next, size, header: vmcoreinfo.size('printk_log') ?? 0, offsets };
}

function put32(fixture: LogFixture, symbol: string, value: number): void {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  fixture.memory.write(fixture.vmcoreinfo.symbol(symbol) ?? 0n, bytes);
}

for (const name of NAMES) {
  const whole = readKernelLog(logFixture(name).source);

  test(`${name}: after a broken record the next good ones are read, and sequence numbers go on from the end`, () => {
    const { fixture, address, offsets } = layOut(name);
    const index = 40;
    fixture.memory.write(address + BigInt((offsets[index] ?? 0) + 8), Uint8Array.of(0x33, 0x77));
    const log = readKernelLog(fixture.source);
    assert.equal(log.damage.length, 1);
    assert.match(log.damage[0]?.message ?? '', /a record is broken/);
    assert.deepEqual(log.records, [...whole.records.slice(0, index), ...whole.records.slice(index + 1)]);
    assert.deepEqual(log.lost.gaps, [{ after: whole.records[index - 1]?.sequence ?? -1, count: 1 }]);
  });

  test(`${name}: a page that is not in the dump takes its records with it, and no others`, () => {
    const { fixture, address } = layOut(name);
    fixture.memory.exclude(address + 4096n);
    const log = readKernelLog(fixture.source);
    assert.ok(log.damage.some(({ code }) => code === 'EXH_PAGE_EXCLUDED'));
    const kept = new Map(whole.records.map((record) => [record.sequence, record]));
    for (const record of log.records) assert.deepEqual(record, kept.get(record.sequence));
    const gone = whole.records.length - log.records.length;
    assert.ok(gone > 10 && gone < 100);
    assert.equal(log.records[0]?.sequence, whole.records[0]?.sequence);
    assert.equal(log.records.at(-1)?.sequence, whole.records.at(-1)?.sequence);
    assert.deepEqual(
      log.lost.gaps.map(({ count }) => count),
      [gone],
    );
  });

  test(`${name}: when the end is gone, what came before keeps its numbers and the rest is counted`, () => {
    const { fixture, address, offsets } = layOut(name);
    // The last record before the buffer's oldest one.
    const last = offsets.at(-1) ?? 0;
    fixture.memory.write(address + BigInt(last + 8), Uint8Array.of(1, 0, 1, 0));
    const log = readKernelLog(fixture.source);
    assert.deepEqual(log.records, whole.records.slice(0, -1));
    assert.deepEqual(log.lost.gaps, [{ after: log.records.at(-1)?.sequence ?? -1, count: 1 }]);
  });

  test(`${name}: variables that cannot be are refused`, () => {
    for (const [symbol, value] of [
      ['log_buf_len', 0],
      ['log_buf_len', 0xffffffff],
      ['log_first_idx', 0xfffffff0],
      ['log_next_idx', 0x7fffffff],
    ] as const) {
      const { fixture } = layOut(name);
      put32(fixture, symbol, value);
      assert.throws(
        () => readKernelLog(fixture.source),
        (error) => isExhumeError(error, 'EXH_BAD_STRUCTURE'),
        `${symbol} ${value}`,
      );
    }
  });

  test(`${name}: an empty log is empty`, () => {
    const { fixture, first } = layOut(name);
    put32(fixture, 'log_next_idx', first);
    const log = readKernelLog({ ...fixture.source, symbols: { address: () => undefined, findAll: () => [] } });
    assert.deepEqual(log.records, []);
    assert.deepEqual(log.damage, []);
  });

  test(`${name}: sequence numbers that contradict the records are not believed`, () => {
    const { fixture } = layOut(name);
    const address = fixture.source.symbols.address('log_next_seq') ?? 0n;
    fixture.memory.write(address, Uint8Array.of(255, 255, 255));
    const log = readKernelLog(fixture.source);
    assert.match(log.damage[0]?.message ?? '', /tell another count/);
    assert.ok(log.records.every(({ sequence }) => sequence === undefined));
    assert.deepEqual(
      log.records.map(({ text }) => text),
      whole.records.map(({ text }) => text),
    );
  });

  test(`${name}: fuzz: any buffer gives records and damage, or an error of ours, soon`, () => {
    for (let seed = 1; seed <= 150; seed++) {
      const random = new Random(seed);
      const { fixture, address, size, offsets } = layOut(name);
      for (let left = 1 + random.below(8); left > 0; left--) {
        const bytes = new Uint8Array(1 + random.below(64));
        for (let i = 0; i < bytes.length; i++) bytes[i] = random.pick([0, 1, 255, random.below(256)]);
        const header = (offsets[random.below(offsets.length)] ?? 0) + random.below(20);
        const variable = BigInt(8 + random.below(48));
        const place = random.below(6);
        if (place === 0)
          fixture.memory.write((fixture.vmcoreinfo.symbol('log_buf') ?? 0n) + variable, bytes.subarray(0, 4));
        else if (place === 1) fixture.memory.exclude(address + BigInt(random.below(size)));
        else fixture.memory.write(address + BigInt(Math.min(header, size - bytes.length)), bytes);
      }
      const started = performance.now();
      let failure: ExhumeError | undefined;
      try {
        const log = readKernelLog(fixture.source);
        assert.ok(log.records.length <= size / 16);
        for (const { level, text } of log.records) assert.ok(level >= 0 && level <= 7 && text.length <= 65535 * 4);
      } catch (error) {
        if (!isExhumeError(error)) throw error;
        failure = error;
      }
      assert.ok(failure === undefined || failure.code !== 'EXH_NO_SYMBOL');
      assert.ok(performance.now() - started < 10_000, `seed ${seed} took too long`);
    }
  });
}

test('of two symbols named log_buf the one with a log behind it is taken', () => {
  const { fixture, address } = layOut('linux-4.4-log-buf');
  const right = fixture.vmcoreinfo.symbol('log_buf') ?? 0n;
  const symbols = new Map(
    ['log_buf_len', 'log_first_idx', 'log_next_idx'].map((name) => [name, fixture.vmcoreinfo.symbol(name)]),
  );
  const of = (value: bigint) => ({ name: 'log_buf', type: 'd', address: value as never });
  for (const order of [
    [address + 64n, right],
    [right, address + 64n],
  ]) {
    const log = readKernelLog({
      ...fixture.source,
      vmcoreinfo: undefined,
      symbols: { address: (name) => symbols.get(name) as never, findAll: () => order.map(of) },
    });
    assert.deepEqual(
      log.records.map(({ text }) => text),
      readKernelLog(fixture.source).records.map(({ text }) => text),
    );
  }
});

test('fuzz: a text log with any content gives lines', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = new Random(seed);
    const { source, memory, vmcoreinfo } = logFixture('linux-3.4-log-text');
    const buffer = memory.pointer(vmcoreinfo.symbol('log_buf') ?? 0n);
    const bytes = new Uint8Array(1 + random.below(4096));
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.pick([0, 10, 60, 62, 91, 93, 255, random.below(256)]);
    memory.write(buffer + BigInt(random.below(16384 - bytes.length)), bytes);
    if (random.below(3) === 0) memory.write((vmcoreinfo.symbol('log_buf_len') ?? 0n) + 8n, bytes.subarray(0, 8));
    if (random.below(4) === 0) memory.exclude(buffer + BigInt(random.below(16384)));
    try {
      const log = readKernelLog(source);
      assert.ok(log.records.every(({ level }) => level >= 0 && level <= 7));
    } catch (error) {
      if (!isExhumeError(error)) throw error;
    }
  }
});
