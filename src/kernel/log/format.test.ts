import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isExhumeError } from '../../bytes/errors.js';
import { ctime, formatLog, type LogFormatOptions, parseLevels, secondsText, selectRecords } from './format.js';
import { callerOf, decodeText, type KernelLog, type LogRecord } from './record.js';

function record(sequence: number, text: string, more: Partial<LogRecord> = {}): LogRecord {
  return {
    sequence,
    timeNanoseconds: BigInt(sequence) * 1_234_567_890n,
    level: 6,
    facility: 0,
    flags: 2,
    newline: true,
    continuation: false,
    caller: { kind: 'task', id: 1 },
    execution: undefined,
    text,
    dictionary: [],
    ...more,
  };
}

function log(records: readonly LogRecord[], more: Partial<KernelLog> = {}): KernelLog {
  return {
    format: 'printk_ringbuffer',
    source: 'a test',
    records,
    pending: [],
    lost: { atStart: 0, gaps: [] },
    joinsContinuations: false,
    damage: [],
    ...more,
  };
}

const RECORDS = [
  record(0, 'Linux version 6.1', { level: 5 }),
  record(1, 'one\ntwo\n', { level: 3, facility: 3, caller: { kind: 'cpu', id: 2 } }),
  record(2, 'pci 0000:00:01.0: quirk', {
    dictionary: [
      { key: 'SUBSYSTEM', value: 'pci' },
      { key: 'DEVICE', value: '+pci:0000:00:01.0' },
    ],
  }),
  record(3, '\u001b[31mred\u0007\tcafé \u009b'),
];

const CASES: readonly { name: string; options: LogFormatOptions; lines: readonly string[] }[] = [
  {
    name: 'as the console',
    options: {},
    lines: [
      '[    0.000000] Linux version 6.1',
      '[    1.234567] one',
      '[    1.234567] two',
      '[    1.234567] ',
      '[    2.469135] pci 0000:00:01.0: quirk',
      '[    3.703703] \\x1b[31mred\\x07\tcafé \\x9b',
    ],
  },
  {
    name: 'raw, with callers',
    options: { raw: true, caller: true },
    lines: [
      '<5>[    0.000000][    T1] Linux version 6.1',
      '<27>[    1.234567][    C2] one',
      '<27>[    1.234567][    C2] two',
      '<27>[    1.234567][    C2] ',
      '<6>[    2.469135][    T1] pci 0000:00:01.0: quirk',
      '<6>[    3.703703][    T1] \\x1b[31mred\\x07\tcafé \\x9b',
    ],
  },
  {
    name: 'wall clock',
    options: { time: 'ctime', bootTime: 1795175949.5 },
    lines: [
      '[Fri Nov 20 11:59:09 2026] Linux version 6.1',
      '[Fri Nov 20 11:59:10 2026] one',
      '[Fri Nov 20 11:59:10 2026] two',
      '[Fri Nov 20 11:59:10 2026] ',
      '[Fri Nov 20 11:59:11 2026] pci 0000:00:01.0: quirk',
      '[Fri Nov 20 11:59:13 2026] \\x1b[31mred\\x07\tcafé \\x9b',
    ],
  },
  {
    name: 'further lines as crash prints them, with the dictionary',
    options: { furtherLines: 'indented', dictionary: true },
    lines: [
      '[    0.000000] Linux version 6.1',
      '[    1.234567] one',
      '               two',
      '               ',
      '[    2.469135] pci 0000:00:01.0: quirk',
      ' SUBSYSTEM=pci',
      ' DEVICE=+pci:0000:00:01.0',
      '[    3.703703] \\x1b[31mred\\x07\tcafé \\x9b',
    ],
  },
  {
    name: 'text alone, as it stands',
    options: { time: 'none', unsafe: true, furtherLines: 'bare' },
    lines: ['Linux version 6.1', 'one', 'two', '', 'pci 0000:00:01.0: quirk', '\u001b[31mred\u0007\tcafé \u009b'],
  },
];

for (const { name, options, lines } of CASES) {
  test(`format: ${name}`, () => assert.deepEqual([...formatLog(log(RECORDS), options)], lines));
}

test('continuations join only where the kernel joined them, and never across a record that was left out', () => {
  const records = [
    record(1, 'resource map:', { flags: 8, newline: false, continuation: true }),
    record(2, ' io', { flags: 8, newline: false, continuation: true }),
    record(3, ' mem', { flags: 10, continuation: true }),
    record(4, 'next'),
  ];
  const old = log(records, { joinsContinuations: true });
  assert.deepEqual([...formatLog(old, { time: 'none' })], ['resource map: io mem', 'next']);
  assert.deepEqual(
    [
      ...formatLog(
        old,
        { time: 'none' },
        [records[0], records[2], records[3]].filter((each) => each !== undefined),
      ),
    ],
    ['resource map:', ' mem', 'next'],
  );
  assert.deepEqual([...formatLog(log(records), { time: 'none' })], ['resource map:', ' io', ' mem', 'next']);
});

test('records without a time have none', () => {
  assert.deepEqual([...formatLog(log([record(0, 'old', { timeNanoseconds: undefined })]))], ['old']);
});

test('wall-clock time without a clock is an error that says so', () => {
  assert.throws(
    () => [...formatLog(log(RECORDS), { time: 'ctime' })],
    (error) => isExhumeError(error, 'EXH_USAGE'),
  );
});

test('levels by name, number and worse; the last records', () => {
  assert.deepEqual([...parseLevels('err,6')], [3, 6]);
  assert.deepEqual([...parseLevels('warn+')], [0, 1, 2, 3, 4]);
  for (const wrong of ['', 'loud', '8', 'err+warn']) {
    assert.throws(
      () => parseLevels(wrong),
      (error) => isExhumeError(error, 'EXH_USAGE'),
    );
  }
  const chosen = selectRecords(log(RECORDS), { levels: parseLevels('info'), tail: 1 });
  assert.deepEqual(
    chosen.map(({ sequence }) => sequence),
    [3],
  );
  assert.deepEqual(selectRecords(log(RECORDS), { tail: 0 }), []);
  assert.equal(selectRecords(log(RECORDS), { tail: 99 }).length, 4);
});

test('seconds keep five columns and cut microseconds, whatever the uptime', () => {
  assert.equal(secondsText(999n), '    0.000000');
  assert.equal(secondsText(12_345_678_901_999n), '12345.678901');
  assert.equal(secondsText(2n ** 64n - 1n), '18446744073.709551');
});

test('times that no calendar has are numbers', () => {
  assert.equal(ctime(Number.MAX_SAFE_INTEGER), '9007199254740991 s');
  assert.equal(ctime(0), 'Thu Jan  1 00:00:00 1970');
});

test('bytes that are no UTF-8 stay visible, one by one', () => {
  for (const [bytes, text] of [
    [[0x63, 0xc3, 0xa9], 'cé'],
    [[0x63, 0xc3], 'c\\xc3'],
    [[0xc0, 0xaf], '\\xc0\\xaf'],
    [[0xed, 0xa0, 0x80], '\\xed\\xa0\\x80'],
    [[0xe2, 0x82, 0xac, 0xff], '€\\xff'],
    [[0xf0, 0x9f, 0x98, 0x80, 0xf4, 0x90, 0x80, 0x80], '😀\\xf4\\x90\\x80\\x80'],
    [[0xef, 0xbb, 0xbf, 0x41, 0x80], '\ufeffA\\x80'],
  ] as const) {
    assert.equal(decodeText(Uint8Array.from(bytes)), text);
  }
});

test('caller ids: bit 31 is a CPU', () => {
  assert.deepEqual(callerOf(0x80000003), { kind: 'cpu', id: 3 });
  assert.deepEqual(callerOf(4711), { kind: 'task', id: 4711 });
});
