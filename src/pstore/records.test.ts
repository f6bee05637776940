import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { deflateRawSync, deflateSync } from 'node:zlib';
import { Random } from '../testing/random.js';
import { joinDumps } from './dumps.js';
import { identityOf, logOfDump } from './log.js';
import { parseRecordName } from './name.js';
import { type PstoreRecord, readRecord } from './record.js';
import { LARGEST_TEXT, unpackRecord } from './unpack.js';

const FIXTURES = fileURLToPath(new URL('../../../src/pstore/fixtures/', import.meta.url));
const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function record(file: string, bytes: Uint8Array, seconds?: number): PstoreRecord {
  const name = parseRecordName(file);
  assert.ok(name, file);
  const time = seconds === undefined ? undefined : { seconds, nanoseconds: 0 };
  return readRecord(name, { file, guest: undefined, time, bytes });
}

/** What a guest's ERST held after an oops and a panic: the records as they were compressed. */
function fixture(kernel: string): PstoreRecord[] {
  const names = readdirSync(FIXTURES + kernel).filter((name) => name.endsWith('.enc.z'));
  return names.map((name) => record(name, readFileSync(`${FIXTURES}${kernel}/${name}`)));
}

for (const kernel of ['erst-6.1', 'erst-7.2']) {
  test(`${kernel}: the text of each record is what the guest's own pstore file system showed`, () => {
    const truth: Record<string, { size: number; sha256: string }> = JSON.parse(
      readFileSync(`${FIXTURES}${kernel}/truth.json`, 'utf8'),
    );
    const records = fixture(kernel);
    assert.equal(records.length, Object.keys(truth).length);
    for (const { file, text, method, damage } of records) {
      const told = truth[file.replace('.enc.z', '')];
      assert.equal(text.length, told?.size, file);
      assert.equal(createHash('sha256').update(text).digest('hex'), told?.sha256, file);
      assert.equal(method, 'deflate');
      assert.deepEqual(damage, []);
    }
  });

  test(`${kernel}: the parts are an oops and a panic, each one log from its first line on`, () => {
    const dumps = joinDumps(fixture(kernel).reverse());
    assert.deepEqual(
      dumps.map(({ reason, count, missing }) => [reason, count, missing]),
      [
        ['Oops', 1, []],
        ['Panic', 2, []],
      ],
    );
    const [oops, panic] = dumps.map(({ text }) => textOf(text));
    assert.match(oops ?? '', /^<5>\[ {4}0\.000000\] Linux version /);
    assert.match(oops ?? '', /---\[ end trace 0{16} \]---\n$|CR0|CR4/);
    // The panic's log is the oops's and what came later.
    assert.ok(panic?.startsWith((oops ?? '').slice(0, 10_000)));
    assert.match(panic ?? '', /Kernel panic - not syncing: sysrq triggered crash\n<0>\[.*Kernel Offset: .*\n$/);
  });
}

test('the joined text of a panic is what the guest printed on its serial console, line for line', () => {
  const console = readFileSync(`${FIXTURES}erst-7.2/console.log`, 'utf8').split('\n');
  const printed = console.filter((line) => /^\[ *\d+\.\d{6}\] /.test(line)).map((line) => line.trimEnd());
  const panic = joinDumps(fixture('erst-7.2')).find(({ reason }) => reason === 'Panic');
  assert.ok(panic);
  const kept = textOf(panic.text)
    .split('\n')
    .map((line) => line.replace(/^<\d+>/, '').trimEnd());
  let at = -1;
  let seen = 0;
  for (const line of printed) {
    const next = kept.indexOf(line, at + 1);
    // What the machine prints after the dump is in no record.
    if (next < 0) continue;
    at = next;
    seen++;
  }
  assert.ok(printed.length > 250 && printed.length - seen <= 3, `${seen} of ${printed.length} lines`);
});

test('dumps of different boots are told apart by the boot, where it is noted; else by the time', () => {
  const part = (id: number, header: string, boot?: number, seconds = 0) => {
    const text = bytesOf(`${header}\n<6>[    1.0] ${id}\n`);
    return { ...record(`dmesg-${id}`, text, seconds), boot };
  };
  const joined = (...records: PstoreRecord[]) =>
    joinDumps(records).map(({ parts, missing }) => [parts.map(({ id }) => Number(id)), missing]);
  // The second boot lost its part 1: without its number part 2 would be taken for one of the first boot.
  const first = part(1, 'Panic#1 Part1', 1);
  assert.deepEqual(joined(first, part(2, 'Panic#1 Part2', 2)), [
    [[1], []],
    [[2], [1]],
  ]);
  assert.deepEqual(joined(part(1, 'Panic#1 Part1', 1), part(2, 'Panic#1 Part2', 1, 4000)), [[[2, 1], []]]);
  // One that lost its description to a crash.
  assert.deepEqual(joined(first, part(2, 'Panic#1 Part2'), part(3, 'Panic#1 Part3', 1)), [[[3, 2, 1], []]]);
  assert.deepEqual(joined(first, part(2, 'Panic#1 Part2', undefined, 4000)), [
    [[1], []],
    [[2], [1]],
  ]);
});

test('names are taken apart as the kernel and the store make them', () => {
  const plain = { backend: undefined, compressed: false };
  assert.deepEqual(parseRecordName('dmesg-3.enc.z'), { ...plain, type: 'dmesg', id: 3n, compressed: true });
  assert.deepEqual(parseRecordName('unknown-0'), { ...plain, type: 'unknown', id: 0n });
  assert.deepEqual(parseRecordName('console-ramoops-0'), { ...plain, type: 'console', backend: 'ramoops', id: 0n });
  assert.deepEqual(parseRecordName('dmesg-efi_pstore-169950123401001.enc.z'), {
    type: 'dmesg',
    backend: 'efi_pstore',
    id: 169950123401001n,
    compressed: true,
  });
  assert.deepEqual(parseRecordName('powerpc-ofw-nvram-4'), {
    ...plain,
    type: 'powerpc-ofw',
    backend: 'nvram',
    id: 4n,
  });
  assert.equal(parseRecordName('dmesg-18446744073709551615')?.id, 0xffffffffffffffffn);
  for (const name of [
    'dmesg',
    'dmesg-',
    'dmesg-18446744073709551616',
    'dmesg-1.enc',
    'dmesg-1.json',
    'x-1',
    '../dmesg-1',
  ])
    assert.equal(parseRecordName(name), undefined, name);
});

const LINES = bytesOf(`Panic#1 Part1\n${'<6>[    1.000000] something\n'.repeat(500)}`);

test('raw deflate, zlib and plain text are told apart', () => {
  for (const [packed, method] of [
    [deflateRawSync(LINES), 'deflate'],
    [deflateRawSync(LINES, { level: 0 }), 'deflate'],
    [deflateSync(LINES), 'zlib'],
    [LINES, 'none'],
  ] as const) {
    const { text, ...rest } = unpackRecord(packed, true);
    assert.deepEqual([rest, textOf(text)], [{ method, problem: undefined }, textOf(LINES)]);
  }
  assert.equal(unpackRecord(bytesOf('any bytes'), false).method, 'none');
});

test('of a record that is cut, what comes before is given, and that it is cut', () => {
  const packed = deflateRawSync(LINES);
  const { text, method, problem } = unpackRecord(packed.subarray(0, packed.length - 12), true);
  assert.equal(method, 'deflate');
  assert.match(problem ?? '', /damaged/);
  assert.ok(text.length > 100 && textOf(LINES).startsWith(textOf(text)), `${text.length} bytes`);
  const [damage] = record('dmesg-1.enc.z', packed.subarray(0, 40)).damage;
  assert.deepEqual([damage?.code, damage?.part], ['EXH_CODEC', 'dmesg-1.enc.z']);
  assert.match(unpackRecord(bytesOf('no deflate'), true).problem ?? '', /neither deflate nor zlib/);
});

test('a small record that makes much is cut at a bound', () => {
  for (const packed of [deflateRawSync(new Uint8Array(1 << 24)), deflateSync(new Uint8Array(1 << 24))]) {
    const { text, problem } = unpackRecord(packed, true);
    assert.equal(text.length, LARGEST_TEXT);
    assert.match(problem ?? '', /more than/);
  }
});

test('the same dump of two boots is two dumps, in whatever order parts come and whichever are lost', () => {
  const part = (id: number, number: number, seconds?: number) =>
    record(`dmesg-${id}`, bytesOf(`Panic#1 Part${number}\nboot line ${id}`), seconds);
  const boots = joinDumps([part(1, 1), part(2, 2), part(3, 1), part(4, 2)]);
  assert.deepEqual(
    boots.map(({ text }) => textOf(text)),
    ['boot line 2\nboot line 1\n', 'boot line 4\nboot line 3\n'],
  );
  // Of the second boot only part 2 is left: the time says that it is not of the first.
  const apart = joinDumps([part(1, 1, 1000), part(2, 2, 5000)]);
  assert.deepEqual(
    apart.map(({ missing }) => missing),
    [[], [1]],
  );
  const [lost] = joinDumps([part(1, 1), part(4, 4)]);
  assert.deepEqual(lost?.missing, [3, 2]);
  assert.deepEqual(
    lost?.damage.map(({ code }) => code),
    ['EXH_TRUNCATED'],
  );
  const [far] = joinDumps([part(1, 999_999_999)]);
  assert.equal(far?.missing.length, 16);
});

test('what ends up in records never throws, and allocates within its bounds', () => {
  const random = new Random(5);
  const seeds = [deflateRawSync(LINES), deflateSync(LINES), LINES] as const;
  for (let round = 0; round < 600; round++) {
    const bytes = Uint8Array.from(random.pick(seeds));
    random.mutate(bytes);
    const found = record(`dmesg-${round}.enc.z`, bytes.subarray(0, random.below(bytes.length + 1)));
    assert.ok(found.text.length <= LARGEST_TEXT);
    assert.equal(found.method === undefined, found.damage.length > 0 && found.text.length === 0);
    joinDumps([found, record('dmesg-1', bytes)]);
  }
});

test('lines become messages with level, time and caller; who wrote to /dev/kmsg is not the kernel', () => {
  const text = [
    'Panic#1 Part1',
    '<14>[    1.000000] Linux version 9.9 of a user',
    '<5>[    2.000000][    T7] Linux version 6.1.2-test (gcc) #1',
    '<6>[    3.000001][   C12] Command line: quiet',
    '<0>no time',
  ].join('\n');
  const [dump] = joinDumps([record('dmesg-1', bytesOf(`${text}\n`))]);
  assert.ok(dump);
  const log = logOfDump(dump);
  const shown = log.records.map((each) => [each.level, each.facility, each.timeNanoseconds, each.caller, each.text]);
  assert.deepEqual(shown, [
    [6, 1, 1_000_000_000n, undefined, 'Linux version 9.9 of a user'],
    [5, 0, 2_000_000_000n, { kind: 'task', id: 7 }, 'Linux version 6.1.2-test (gcc) #1'],
    [6, 0, 3_000_001_000n, { kind: 'cpu', id: 12 }, 'Command line: quiet'],
    [0, 0, undefined, undefined, 'no time'],
  ]);
  const banner = 'Linux version 6.1.2-test (gcc) #1';
  assert.deepEqual(identityOf(log), { banner, release: '6.1.2-test', commandLine: 'quiet' });
});
