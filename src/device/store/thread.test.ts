import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as pass } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { isExhumeError } from '../../bytes/errors.js';
import { startMachine } from '../../testing/pstore-machine.js';
import { SlowDisk } from '../../testing/slow-disk.js';
import { serveGuest } from '../serve.js';
import type { StoreStart } from './messages.js';
import { type StoreEvents, StoreThread } from './thread.js';

const WORKER = new URL('./store-worker.js', import.meta.url).href;
const WRITE = { command: 3, type: 1 };
const [OPEN, CLOSE] = [{ command: 1 }, { command: 5 }];
const EBUSY = -16;

/** Whatever is still at work in it when it goes has to be ended with it: hooks run in the order in which they are given. */
function directory(t: TestContext, end: () => Promise<unknown> = async () => {}): string {
  const dir = mkdtempSync(join(tmpdir(), 'exhume-thread-'));
  t.after(async () => {
    await end();
    rmSync(dir, { recursive: true });
  });
  return dir;
}

async function setup(t: TestContext, events: StoreEvents = {}) {
  const dir = directory(t, async () => {
    disk.goOn();
    await served.close();
    await thread.end(0);
  });
  const disk = new SlowDisk();
  const spawn = (start: StoreStart) =>
    new Worker(SlowDisk.program(WORKER), { eval: true, workerData: { ...start, gate: disk.gate } });
  const records = join(dir, 'records');
  const thread = await StoreThread.open({ directory: records, settings: {} }, events, spawn);
  const socket = join(dir, 'web.sock');
  const served = await serveGuest({ guest: 'web', socket, store: await thread.guest('web'), log: () => {} });
  const names = () => readdirSync(join(records, 'web')).filter((name) => /^dmesg-\d+$/.test(name));
  return { disk, thread, socket, records, names };
}

const bytes = (seed: number) => new Uint8Array(5000).fill(seed);

test('while the disk hangs registers are answered; a write is confirmed once it is on the disk, and not before', async (t) => {
  const { disk, socket, thread, names } = await setup(t);
  const { driver } = await startMachine(t, socket);
  assert.equal(await driver.write(WRITE, bytes(1)), 0);
  disk.hang();
  let result: number | undefined;
  const write = driver.write(WRITE, bytes(2)).then((status) => {
    result = status;
  });
  for (let times = 0; times < 500; times++) assert.equal(await driver.virtio.status(), 15);
  assert.equal(result, undefined);
  assert.deepEqual(names(), ['dmesg-1']);
  assert.equal(thread.backlog.requests, 1);
  assert.ok(thread.backlog.seconds > 0);
  disk.goOn();
  await write;
  assert.equal(result, 0);
  assert.deepEqual(names(), ['dmesg-1', 'dmesg-2']);
  assert.deepEqual(thread.backlog, { requests: 0, seconds: 0 });
});

test('a guest that gives up waiting can begin again; what it makes wait is bounded, and is written in the end', async (t) => {
  const { disk, socket, thread, names } = await setup(t);
  const { driver } = await startMachine(t, socket);
  disk.hang();
  const waiting = 4;
  for (let boot = 1; boot <= waiting; boot++) {
    // Nobody waits for the answer: the driver starts anew, which takes its ring back.
    driver.submitWrite(WRITE, bytes(boot));
    while (thread.backlog.requests < boot) await driver.virtio.status();
    await driver.start();
  }
  assert.equal(await driver.write(WRITE, bytes(9)), EBUSY);
  assert.equal(await driver.simple(OPEN), EBUSY);
  for (let times = 0; times < 1000; times++) assert.equal(await driver.simple(CLOSE), 0);
  assert.equal(thread.backlog.requests, waiting);
  disk.goOn();
  while (thread.backlog.requests > 0) await driver.virtio.status();
  assert.deepEqual(names(), ['dmesg-1', 'dmesg-2', 'dmesg-3', 'dmesg-4']);
  assert.equal(await driver.simple(OPEN), 0);
  for (let id = 1; id <= waiting; id++) assert.deepEqual((await driver.read())?.data, bytes(id));
  assert.equal(await driver.read(), undefined);
});

test('a disk that fails is an error of the guest that writes, and of nothing else', async (t) => {
  const { socket, records } = await setup(t);
  const { driver } = await startMachine(t, socket);
  renameSync(join(records, 'web'), join(records, 'away'));
  assert.equal(await driver.write(WRITE, bytes(1)), -5);
  renameSync(join(records, 'away'), join(records, 'web'));
  assert.equal(await driver.write(WRITE, bytes(1)), 0);
});

test('records, their descriptions and what is used are told; quotas can change', async (t) => {
  const told: string[] = [];
  let wrote = 0;
  const { socket, thread, records } = await setup(t, {
    described: ({ file, boot }, path) => {
      assert.equal(JSON.parse(readFileSync(path, 'utf8')).file, file);
      told.push(`${file} ${boot}`);
    },
    wrote: () => wrote++,
  });
  const { driver } = await startMachine(t, socket);
  assert.equal(await driver.write(WRITE, bytes(1)), 0);
  assert.equal(await driver.write(WRITE, bytes(1)), 0);
  await driver.start();
  assert.equal(await driver.write(WRITE, bytes(1)), 0);
  thread.configure({ guests: { web: { guestBytes: 1 } } });
  assert.equal(await driver.write(WRITE, bytes(1)), -28);
  assert.equal(wrote, 4);
  assert.deepEqual(told, ['dmesg-1 1', 'dmesg-2 1', 'dmesg-3 3']);
  assert.deepEqual([...thread.usage], [['web', { records: 3, bytes: 3 * (5000 + 4096) }]]);
  assert.equal(await thread.end(10_000), true);
  assert.equal(await driver.write(WRITE, bytes(1)), -5);
  assert.equal(readFileSync(join(records, 'web/last-id'), 'utf8'), '3\n');
});

test('a thread that ends is told of, and another one takes its place', async (t) => {
  const dir = directory(t, () => thread.end(0));
  const failures: Error[] = [];
  let spawned = 0;
  const spawn = (workerData: StoreStart) => {
    const dies = `process.exit(3)`;
    const code = spawned++ === 0 ? `require('node:fs').fsyncSync = () => ${dies};` : '';
    const rest = `require('node:module').syncBuiltinESMExports(); void import(${JSON.stringify(WORKER)});`;
    return new Worker(code + rest, { eval: true, workerData });
  };
  const events = { failed: (error: Error) => failures.push(error) };
  const thread = await StoreThread.open({ directory: join(dir, 'records'), settings: {} }, events, spawn);
  const store = await thread.guest('web');
  const record = { type: 1, compressed: false, data: bytes(1) };
  const told = 'the thread of the store ended with status 3';
  assert.deepEqual(await store.write(record), { error: 'io', problem: told });
  assert.equal(failures[0]?.message, told);
  for (;;) {
    const written = await store.write(record);
    if ('id' in written) break;
    assert.deepEqual(written, { error: 'io', problem: 'the thread of the store has ended' });
    await pass(50);
  }
  assert.equal(spawned, 2);
});

test('a directory that cannot be, and a name that is none, are refused', async (t) => {
  const dir = directory(t, () => thread.end(0));
  writeFileSync(join(dir, 'file'), '');
  const nowhere = { directory: join(dir, 'file/records'), settings: {} };
  await assert.rejects(StoreThread.open(nowhere), (error) => isExhumeError(error, 'EXH_IO'));
  const thread = await StoreThread.open({ directory: dir, settings: {} });
  await assert.rejects(thread.guest('../x'), (error) => isExhumeError(error, 'EXH_USAGE'));
});
