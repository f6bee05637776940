import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixtureBytes, fixtureLines, logFixture } from '../../testing/log-fixture.js';
import { formatLog } from './format.js';
import { readKernelLog } from './read.js';
import { decodeText, type KernelLog, type LogRecord } from './record.js';

/** One record as /dev/kmsg shows it: `priority,sequence,microseconds,flag;text`, and its dictionary on lines of its own. */
interface KmsgRecord {
  readonly priority: number;
  readonly sequence: number;
  readonly microseconds: number;
  readonly continuation: boolean;
  readonly text: string;
  readonly dictionary: Record<string, string>;
}

function unescaped(text: string): string {
  return decodeText(
    Buffer.from(
      text.replace(/\\x([0-9a-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))),
      'latin1',
    ),
  );
}

function kmsgRecords(file: string): KmsgRecord[] {
  const records: KmsgRecord[] = [];
  for (const line of fixtureLines(file)) {
    const [, key, value] = /^ ([^=]*)=(.*)$/.exec(line) ?? [];
    const last = records.at(-1);
    if (key !== undefined && last !== undefined) {
      last.dictionary[key] = unescaped(value ?? '');
      continue;
    }
    const [, priority, sequence, microseconds, flag, text] = /^(\d+),(\d+),(\d+),([^;]*);(.*)$/.exec(line) ?? [];
    records.push({
      priority: Number(priority),
      sequence: Number(sequence),
      microseconds: Number(microseconds),
      continuation: flag === 'c',
      text: unescaped(text ?? ''),
      dictionary: {},
    });
  }
  return records;
}

function asKmsg(record: LogRecord): KmsgRecord {
  return {
    priority: record.facility * 8 + record.level,
    sequence: record.sequence ?? -1,
    microseconds: Number((record.timeNanoseconds ?? 0n) / 1000n),
    continuation: record.continuation,
    text: record.text,
    dictionary: Object.fromEntries(record.dictionary.map(({ key, value }) => [key, value])),
  };
}

function read(name: string): KernelLog {
  const log = readKernelLog(logFixture(name).source);
  assert.deepEqual(log.damage, []);
  return log;
}

for (const name of ['linux-5.10-panic', 'linux-6.1-panic', 'linux-7.2-panic']) {
  test(`${name}: the log is the guest's serial console, line by line`, () => {
    const log = read(name);
    assert.equal(log.format, 'printk_ringbuffer');
    assert.deepEqual(log.lost, { atStart: 0, gaps: [] });
    assert.deepEqual(log.pending, []);
    assert.deepEqual([...formatLog(log)], fixtureLines(`${name}.serial.txt`));
  });

  test(`${name}: records are those of the guest's /dev/kmsg`, () => {
    const records = read(name).records.map(asKmsg);
    const golden = kmsgRecords(`${name}.kmsg.txt`);
    assert.ok(golden.length > 300);
    assert.deepEqual(records.slice(0, golden.length), golden);
    assert.ok(golden.some(({ dictionary }) => dictionary['SUBSYSTEM'] !== undefined));
  });
}

test('a ring that has wrapped, with empty, long and broken lines, is what /dev/kmsg showed', () => {
  const log = read('linux-7.2-wrapped');
  assert.equal(log.lost.atStart, 2766);
  assert.deepEqual(log.lost.gaps, []);
  const bySequence = new Map(log.records.map((record) => [record.sequence, record]));
  const still = kmsgRecords('linux-7.2-wrapped.kmsg.txt.gz').filter(({ sequence }) => bySequence.has(sequence));
  assert.equal(still.length, 2791);
  for (const golden of still) {
    const record = bySequence.get(golden.sequence);
    assert.ok(record !== undefined);
    assert.deepEqual(asKmsg(record), golden);
  }
  assert.ok(still.some(({ text }) => text === ''));
  assert.ok(still.some(({ text }) => text.includes('\n')));
  assert.ok(still.some(({ text }) => text.includes('café \\xff\\xfe')));
});

test('a guest stopped while it was writing a message: pending, not shown, not lost', () => {
  const log = read('linux-7.2-writing');
  assert.deepEqual([...formatLog(log)], fixtureLines('linux-7.2-writing.serial.txt'));
  assert.deepEqual(log.lost, { atStart: 0, gaps: [] });
  const [pending, ...others] = log.pending;
  assert.deepEqual(others, []);
  assert.ok(pending !== undefined);
  const { text, level, facility, sequence, after, execution } = pending;
  assert.deepEqual(
    { text, level, facility, sequence, after, execution },
    {
      text: 'a message that is being written',
      level: 3,
      facility: 1,
      sequence: 356,
      after: 356,
      execution: { pid: 1, cpu: 1, comm: 'init' },
    },
  );
});

test('kernels with CONFIG_PRINTK_EXECUTION_CTX tell CPU, task and name of each message', () => {
  const records = read('linux-7.2-panic').records;
  const panic = records.find(({ text }) => text.startsWith('Kernel panic'));
  assert.deepEqual(panic?.caller, { kind: 'task', id: 1 });
  assert.deepEqual(panic?.execution, { pid: 1, cpu: 0, comm: 'init' });
  const interrupt = records.find(({ caller }) => caller?.kind === 'cpu');
  assert.ok(interrupt?.execution !== undefined);
  assert.equal(interrupt.execution.cpu, interrupt.caller?.id);
  assert.equal(read('linux-6.1-panic').records[0]?.execution, undefined);
});

for (const name of ['linux-4.4-log-buf', 'linux-5.4-log-buf']) {
  test(`${name}: text is what the kernel's own msg_print_text printed`, () => {
    const log = read(name);
    assert.equal(log.format, 'log_buf');
    assert.equal(log.joinsContinuations, name === 'linux-4.4-log-buf');
    const lines = [...formatLog(log, { raw: true, unsafe: true, caller: true })];
    assert.deepEqual(lines, goldenLines(`${name}.txt`));
  });

  test(`${name}: records are those of its /dev/kmsg`, () => {
    const golden = kmsgRecords(`${name}.kmsg.txt`);
    const log = read(name);
    assert.deepEqual(log.records.map(asKmsg), golden);
    assert.equal(log.lost.atStart, golden[0]?.sequence);
    assert.ok(golden.some(({ dictionary }) => dictionary['DEVICE'] !== undefined));
  });
}

test('kernels up to 4.9 go on with the line of a continuation record', () => {
  const log = read('linux-4.4-log-buf');
  const fragment = log.records.findIndex(({ continuation, newline }) => continuation && !newline);
  assert.ok(fragment > 0);
  const [one, two] = log.records.slice(fragment, fragment + 2);
  const lines = [...formatLog(log, { time: 'none' })];
  assert.ok(lines.includes(`${one?.text}${two?.text}`));
  const apart = [...formatLog({ ...log, joinsContinuations: false }, { time: 'none' })];
  assert.ok(apart.includes(one?.text ?? '') && apart.includes(two?.text ?? ''));
});

test('log_buf without any layout is read by the layout whose records follow each other', () => {
  for (const name of ['linux-4.4-log-buf', 'linux-5.4-log-buf']) {
    const { source } = logFixture(name);
    const blind = { ...source, layouts: { ...source.layouts, offset: () => undefined, size: () => undefined } };
    assert.deepEqual(readKernelLog(blind).records, read(name).records);
  }
});

test('log_buf without its sequence numbers counts nothing', () => {
  const { source } = logFixture('linux-4.4-log-buf');
  const log = readKernelLog({ ...source, symbols: { address: () => undefined, findAll: () => [] } });
  assert.deepEqual(log.lost, { atStart: undefined, gaps: [] });
  assert.ok(log.records.length > 100);
  assert.ok(log.records.every(({ sequence }) => sequence === undefined));
});

test('a text log is what stood in the ring, but for the line that lost its beginning', () => {
  const log = read('linux-3.4-log-text');
  assert.equal(log.format, 'text');
  const lines = [...formatLog(log, { raw: true, unsafe: true })];
  assert.deepEqual(lines, goldenLines('linux-3.4-log-text.txt').slice(1));
});

function goldenLines(file: string): string[] {
  return decodeText(fixtureBytes(file)).replace(/\n$/, '').split('\n');
}
