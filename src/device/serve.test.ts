import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isExhumeError } from '../bytes/errors.js';
import { HostStore } from '../pstore/node/store.js';
import { startMachine } from '../testing/pstore-machine.js';
import { until } from '../testing/until.js';
import type { DeviceEvent } from './log-events.js';
import { serveGuest } from './serve.js';

const WRITE = 3;
const DMESG = 1;
const COMPRESSED = 1;

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'exhume-device-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

test('two guests of one process leave their records, and find them again after the machine was restarted', async (t) => {
  const dir = directory(t);
  const events: DeviceEvent[] = [];
  const store = HostStore.open(join(dir, 'records'));
  const socketOf = (guest: string) => join(dir, `${guest}.sock`);
  for (const guest of ['one', 'two']) {
    const log = (event: DeviceEvent) => events.push(event);
    const served = await serveGuest({ guest, socket: socketOf(guest), store: store.guest(guest), log });
    t.after(() => served.close());
    assert.equal(statSync(socketOf(guest)).mode & 0o777, 0o600);
  }
  const machines = await Promise.all(['one', 'two'].map((guest) => startMachine(t, socketOf(guest))));
  await Promise.all(
    machines.map(async ({ driver, client }, index) => {
      const data = new Uint8Array(9000).fill(index);
      assert.equal(await driver.write({ command: WRITE, type: DMESG, flags: COMPRESSED }, data), 0);
      client.socket.end();
    }),
  );
  for (const guest of ['one', 'two']) {
    assert.ok(readdirSync(join(dir, 'records', guest)).includes('dmesg-1.enc.z'), guest);
  }
  await until(() => events.filter(({ event }) => event === 'disconnected').length === 2);

  const { driver } = await startMachine(t, socketOf('two'));
  await driver.simple({ command: 1 });
  assert.deepEqual((await driver.read())?.data, new Uint8Array(9000).fill(1));
  await driver.simple({ command: 5 });
  assert.equal(await driver.simple({ command: 4, type: DMESG, id: 1 }), 0);
  assert.ok(!readdirSync(join(dir, 'records', 'two')).includes('dmesg-1.enc.z'));
  assert.deepEqual(
    events.filter(({ guest }) => guest === 'two').map(({ event }) => event),
    ['listening', 'connected', 'transport', 'kept', 'disconnected', 'connected', 'transport', 'erased'],
  );
});

test('a guest that breaks its device again and again is told of once; the other one is served on', async (t) => {
  const dir = directory(t);
  const events: DeviceEvent[] = [];
  const store = HostStore.open(join(dir, 'records'));
  const log = (event: DeviceEvent) => events.push(event);
  for (const guest of ['good', 'bad']) {
    const served = await serveGuest({ guest, socket: join(dir, guest), store: store.guest(guest), log });
    t.after(() => served.close());
  }
  const good = await startMachine(t, join(dir, 'good'));
  const bad = await startMachine(t, join(dir, 'bad'));
  for (let round = 0; round < 20; round++) {
    assert.equal(await bad.driver.virtio.request(0, [{ address: 0, length: 24 }], []), 'broken');
    await bad.driver.start();
  }
  assert.equal(await good.driver.write({ command: WRITE, type: DMESG }, new Uint8Array(100)), 0);
  bad.client.socket.end();
  await until(() => events.some(({ event }) => event === 'disconnected'));
  const told = events
    .filter(({ guest }) => guest === 'bad')
    .map((event) => ('breaks' in event ? event.breaks : event.event));
  assert.deepEqual(told, ['listening', 'connected', 'transport', 'broken', 20]);
});

test('one machine at a time: a second one is sent away', async (t) => {
  const dir = directory(t);
  const events: DeviceEvent[] = [];
  const socket = join(dir, 'guest.sock');
  const store = HostStore.open(join(dir, 'records')).guest('guest');
  const served = await serveGuest({ guest: 'guest', socket, store, log: (event) => events.push(event) });
  t.after(() => served.close());
  const { driver } = await startMachine(t, socket);
  await assert.rejects(startMachine(t, socket), /closed the connection|EPIPE|ECONNRESET/);
  assert.ok(events.some(({ event }) => event === 'busy'));
  assert.equal(await driver.simple({ command: 1 }), 0);
});

test('a socket that was left behind is taken over; one in use, and any other file, is not', async (t) => {
  const dir = directory(t);
  const store = HostStore.open(join(dir, 'records')).guest('guest');
  const options = { guest: 'guest', store, log: () => {} };
  const socket = join(dir, 'guest.sock');
  const first = await serveGuest({ ...options, socket });
  await assert.rejects(serveGuest({ ...options, socket }), (error) => isExhumeError(error, 'EXH_IO'));
  await first.close();
  writeFileSync(socket, 'not a socket');
  await assert.rejects(serveGuest({ ...options, socket }), (error) => isExhumeError(error, 'EXH_IO'));
  rmSync(socket);

  leaveBehind(socket);
  assert.ok(statSync(socket).isSocket());
  const second = await serveGuest({ ...options, socket });
  await startMachine(t, socket);
  await second.close();
});

/** As a process does that is killed while it listens. */
function leaveBehind(socket: string): void {
  const script = `require('net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script]);
}

test('a buffer that no device has is refused before anything is listened on', async (t) => {
  const dir = directory(t);
  const store = HostStore.open(join(dir, 'records')).guest('guest');
  const socket = join(dir, 'guest.sock');
  const wrong = serveGuest({ guest: 'guest', socket, store, log: () => {}, bufferSize: 100 });
  await assert.rejects(wrong, (error) => isExhumeError(error, 'EXH_USAGE'));
  assert.ok(!readdirSync(dir).includes('guest.sock'));
});
