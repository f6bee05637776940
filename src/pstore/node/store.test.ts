import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { isExhumeError } from '../../bytes/errors.js';
import { Random } from '../../testing/random.js';
import type { StorePolicy } from '../policy.js';
import { findRecords, loadRecord } from './read.js';
import { type GuestStore, HostStore } from './store.js';

const directory = mkdtempSync(join(tmpdir(), 'exhume-pstore-'));
after(() => rmSync(directory, { recursive: true }));

let made = 0;
const place = (): string => join(directory, String(made++));
const DMESG = 1;
const TEXT = new TextEncoder().encode('Panic#1 Part1\n<0>[    1.000000] Kernel panic - not syncing: test\n');
const PACKED = deflateRawSync(TEXT);
const clock = { now: 1_700_000_000_250 };
const clocks = { wall: () => clock.now, steady: () => clock.now };

const open = (at: string, policy: Partial<StorePolicy> = {}): GuestStore =>
  HostStore.open(at, policy, clocks).guest('web');
const write = (store: GuestStore, data: Uint8Array = PACKED, compressed = true) =>
  store.write({ type: DMESG, compressed, data });
const recordNames = (at: string) => readdirSync(join(at, 'web')).filter((name) => !name.endsWith('.json'));

test('a record lands under its id with its description, for its owner only', () => {
  const at = place();
  assert.deepEqual(write(open(at)), { id: 1 });
  assert.deepEqual(readdirSync(join(at, 'web')), ['dmesg-1.enc.z', 'dmesg-1.json']);
  assert.deepEqual(readFileSync(join(at, 'web/dmesg-1.enc.z')), PACKED);
  const { sha256, ...description } = JSON.parse(readFileSync(join(at, 'web/dmesg-1.json'), 'utf8'));
  assert.deepEqual(description, {
    schema: 'exhume-pstore-record/1',
    guest: 'web',
    type: 'dmesg',
    id: 1,
    file: 'dmesg-1.enc.z',
    time: { epoch: 1_700_000_000, nanoseconds: 250_000_000, iso: '2023-11-14T22:13:20.250Z' },
    boot: null,
    reason: 'Panic',
    count: 1,
    part: 1,
    method: 'deflate',
    size: PACKED.length,
    textSize: TEXT.length,
  });
  assert.match(sha256, /^[0-9a-f]{64}$/);
  for (const name of ['dmesg-1.enc.z', 'dmesg-1.json'])
    assert.equal(statSync(join(at, 'web', name)).mode & 0o777, 0o600);
  for (const name of ['', 'web']) assert.equal(statSync(join(at, name)).mode & 0o777, 0o700);
});

test('a guest reads back what it wrote, also after a restart, and erases it whether it knows of the compression or not', () => {
  const at = place();
  write(open(at));
  const store = open(at);
  assert.deepEqual(write(store, TEXT, false), { id: 2 });
  assert.equal(store.next(), undefined);
  store.open();
  const time = { seconds: 1_700_000_000, nanoseconds: 250_000_000 };
  const first = store.next();
  assert.deepEqual(first, { type: DMESG, id: 1, count: 1, compressed: true, time, data: new Uint8Array(PACKED) });
  const second = store.next();
  assert.deepEqual(second, { type: DMESG, id: 2, count: 1, compressed: false, time, data: TEXT });
  assert.equal(store.next(), undefined);
  store.open();
  assert.equal(store.erase(DMESG, 1), true);
  assert.equal(store.erase(DMESG, 1), false);
  assert.equal(store.erase(2, 2), false);
  assert.equal(store.next()?.id, 2);
  store.close();
  assert.equal(store.next(), undefined);
  assert.deepEqual(recordNames(at), ['dmesg-2']);
});

test("a directory that an operator made for a guest becomes the store's own", () => {
  const at = place();
  mkdirSync(join(at, 'web'), { recursive: true, mode: 0o755 });
  assert.deepEqual(write(open(at)), { id: 1 });
  assert.equal(statSync(join(at, 'web')).mode & 0o777, 0o700);
});

test('an id is never given twice: not after erasing the last one, nor after a restart', () => {
  const at = place();
  const store = open(at);
  for (let id = 1; id <= 3; id++) assert.deepEqual(write(store), { id });
  store.erase(DMESG, 3);
  store.erase(DMESG, 2);
  assert.deepEqual(write(open(at)), { id: 4 });
  open(at).erase(DMESG, 1);
  open(at).erase(DMESG, 4);
  assert.deepEqual(write(open(at)), { id: 5 });
  // Someone else's file of the next name is left alone, and its name passed over.
  writeFileSync(join(at, 'web/dmesg-6.enc.z'), 'not ours');
  assert.deepEqual(write(open(at)), { id: 7 });
  assert.equal(readFileSync(join(at, 'web/dmesg-6.enc.z'), 'utf8'), 'not ours');
});

test('what a crash left half done is mended: records are described, descriptions without a record go, ids go on', () => {
  const at = place();
  const store = open(at);
  for (let id = 1; id <= 3; id++) write(store);
  const description = readFileSync(join(at, 'web/dmesg-1.json'), 'utf8');
  rmSync(join(at, 'web/dmesg-1.json'));
  rmSync(join(at, 'web/dmesg-3.enc.z'));
  writeFileSync(join(at, 'web/dmesg-8.json'), '{"not":"ours"}');
  writeFileSync(join(at, 'web/dmesg-2.enc.z.exhume-partial-0123abcd'), 'half');
  const mended = open(at);
  const names = ['dmesg-1.enc.z', 'dmesg-1.json', 'dmesg-2.enc.z', 'dmesg-2.json', 'dmesg-8.json', 'last-id'];
  assert.deepEqual(readdirSync(join(at, 'web')), names);
  const again = JSON.parse(readFileSync(join(at, 'web/dmesg-1.json'), 'utf8'));
  assert.deepEqual({ ...again, time: 0 }, { ...JSON.parse(description), time: 0 });
  assert.deepEqual(write(mended), { id: 4 });
});

test('what others remove meanwhile makes room, and its ids are not given again', () => {
  const at = place();
  const host = HostStore.open(at, { keepFirst: 2, keepLast: 1, guestBytes: 2 * 5000, totalBytes: 3 * 5000 }, clocks);
  const [web, db] = [host.guest('web'), host.guest('db')];
  assert.deepEqual(
    [write(web), write(web), write(web), write(db), write(db)].map((one) => 'id' in one),
    [true, true, false, true, false],
  );
  for (const name of ['web/dmesg-1.enc.z', 'web/dmesg-2.enc.z']) rmSync(join(at, name));
  assert.deepEqual([write(db), write(db)], [{ id: 2 }, { error: 'quota' }]);
  rmSync(join(at, 'db/dmesg-2.enc.z'));
  assert.deepEqual(write(web), { id: 3 });
  assert.deepEqual(
    [...host.usage.values()].map(({ records }) => records),
    [1, 1],
  );
  renameSync(join(at, 'web'), join(at, 'away'));
  web.rescan();
  assert.equal(web.bytes, 0);
  renameSync(join(at, 'away'), join(at, 'web'));
  web.open();
  assert.equal(web.next()?.id, 3);
  rmSync(join(at, 'web'), { recursive: true });
  mkdirSync(join(at, 'web'));
  host.close();
  assert.deepEqual(write(open(at)), { id: 4 });
});

test('each start of the driver is a boot of its own; before the first that is seen it is not known', () => {
  const at = place();
  const store = open(at);
  const boots = [];
  for (const restart of [false, true, false, true, true]) {
    if (restart) store.reset();
    const written = write(store);
    assert.ok('id' in written);
    boots.push(JSON.parse(readFileSync(join(at, `web/dmesg-${written.id}.json`), 'utf8')).boot);
  }
  assert.deepEqual(boots, [null, 2, 2, 4, 5]);
});

test('a record is safe before anything else is done for it', () => {
  const at = place();
  const store = open(at, { keepFirst: 0, keepLast: 1 });
  write(store);
  let seen: string[] | undefined;
  store.write({ type: DMESG, compressed: false, data: TEXT }, false, (written) => {
    assert.deepEqual(written, { id: 2 });
    seen = readdirSync(join(at, 'web'));
  });
  assert.deepEqual(seen, ['dmesg-1.enc.z', 'dmesg-1.json', 'dmesg-2']);
  assert.deepEqual(recordNames(at), ['dmesg-2']);
});

test('a crash loop pushes out neither the first records nor the last', () => {
  const at = place();
  for (let boot = 0; boot < 10; boot++) write(open(at, { keepFirst: 2, keepLast: 3 }));
  assert.deepEqual(
    recordNames(at).sort(),
    ['dmesg-1', 'dmesg-10', 'dmesg-2', 'dmesg-8', 'dmesg-9'].map((name) => `${name}.enc.z`),
  );
});

test('quotas of a guest and of all refuse what has no room', () => {
  const at = place();
  const policy = { keepFirst: 1, guestBytes: 3 * 5000, totalBytes: 4 * 5000 };
  const host = HostStore.open(at, policy, clocks);
  for (const id of [1, 2, 3, 4]) assert.deepEqual(write(host.guest('web')), { id });
  assert.deepEqual(recordNames(at), ['dmesg-1.enc.z', 'dmesg-3.enc.z', 'dmesg-4.enc.z']);
  assert.deepEqual(write(host.guest('db')), { id: 1 });
  assert.deepEqual(write(host.guest('db')), { error: 'quota' });
  assert.deepEqual(write(HostStore.open(at, policy, clocks).guest('db')), { error: 'quota' });
  assert.deepEqual(write(open(place(), { recordBytes: 10 })), { error: 'size' });
});

test('who writes too fast is refused until time has passed', () => {
  const store = open(place(), { burstBytes: 10_000, bytesPerSecond: 5000 });
  assert.deepEqual([write(store), write(store), write(store)], [{ id: 1 }, { id: 2 }, { error: 'rate' }]);
  clock.now += 1000;
  assert.deepEqual(write(store), { id: 3 });
});

test('a disk that refuses is told, and nothing of the record stays', () => {
  const at = place();
  const store = open(at);
  rmSync(join(at, 'web'), { recursive: true });
  const refused = write(store);
  assert.ok('error' in refused);
  assert.equal(refused.error, 'io');
  assert.match(refused.problem ?? '', /dmesg-1\.enc\.z: cannot create: ENOENT/);
  mkdirSync(join(at, 'web'));
  assert.deepEqual(write(store), { id: 2 });
  rmSync(join(at, 'web/dmesg-2.enc.z'));
  store.open();
  assert.equal(store.next(), undefined);
});

test('names that are no names and links in the place of a guest are refused', () => {
  const at = place();
  const host = HostStore.open(at);
  for (const name of ['', '.', '..', 'a/b', '-x', 'a b', 'é', 'x'.repeat(65)])
    assert.throws(
      () => host.guest(name),
      (error) => isExhumeError(error, 'EXH_USAGE'),
    );
  symlinkSync(tmpdir(), join(at, 'away'));
  assert.throws(
    () => host.guest('away'),
    (error) => isExhumeError(error, 'EXH_IO'),
  );
  assert.throws(
    () => HostStore.open(at, { keepLast: 0 }),
    (error) => isExhumeError(error, 'EXH_USAGE'),
  );
});

test('a store, a guest in it and a single file are found by their paths, with or without descriptions', () => {
  const at = place();
  write(open(at));
  write(HostStore.open(at, {}, clocks).guest('db'));
  const paths = (path: string) => findRecords(path).map((found) => [found.path, found.guest]);
  assert.deepEqual(paths(at), [
    ['db/dmesg-1.enc.z', 'db'],
    ['web/dmesg-1.enc.z', 'web'],
  ]);
  assert.deepEqual(paths(join(at, 'web')), [['dmesg-1.enc.z', 'web']]);
  assert.deepEqual(paths(join(at, 'web/dmesg-1.enc.z')), [['dmesg-1.enc.z', 'web']]);
  for (const json of ['', '{', 'null', '{"schema":"exhume-pstore-record/1","time":1}', '[]']) {
    writeFileSync(join(at, 'web/dmesg-1.json'), json);
    const [found] = findRecords(join(at, 'web'));
    assert.ok(found !== undefined && found.guest === undefined);
    assert.deepEqual(Buffer.from(loadRecord(found).text), Buffer.from(TEXT));
  }
  assert.throws(
    () => findRecords(place()),
    (error) => isExhumeError(error, 'EXH_IO'),
  );
  assert.throws(
    () => findRecords(join(at, 'web/dmesg-1.json')),
    (error) => isExhumeError(error, 'EXH_NOT_A_DUMP'),
  );
});

const STORE = new URL('./store.js', import.meta.url).href;
const SIZE = 200_000;

/** Writes records that are each filled with their id, without an end. */
const WRITES = `
  const { HostStore } = await import(${JSON.stringify(STORE)});
  const store = HostStore.open(process.argv[1], { burstBytes: 1e12, keepFirst: 2, keepLast: 4 }).guest('web');
  console.log('begun');
  for (let next = store.lastId + 1; ; next++) {
    const { id } = store.write({ type: 1, compressed: false, data: new Uint8Array(${SIZE}).fill(next) });
    if (id !== next) throw new Error('id');
    if (next % 3 === 0) store.erase(1, next);
  }
`;

test('a process that is killed leaves whole records, and its successor goes on after the last id', async () => {
  const at = place();
  const random = new Random(3);
  let last = 0;
  const others = new Set<number>();
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', WRITES, at]);
    const ended = new Promise((end) => child.once('close', end));
    await new Promise((begun) => child.stdout.once('data', begun));
    await new Promise((passed) => setTimeout(passed, 20 + random.below(60)));
    child.kill('SIGKILL');
    await ended;
    for (const name of recordNames(at)) {
      if (!name.startsWith('dmesg-') || name.includes('partial')) continue;
      const bytes = readFileSync(join(at, 'web', name));
      const id = Number(name.slice('dmesg-'.length));
      if (!others.has(id)) assert.ok(bytes.length === SIZE && bytes.every((byte) => byte === id % 256), name);
    }
    const store = open(at);
    const given = write(store, TEXT, false);
    assert.ok('id' in given && given.id > last, `${JSON.stringify(given)} after ${last}`);
    last = given.id;
    others.add(last);
    assert.ok(recordNames(at).every((name) => !name.includes('partial')));
  }
});
