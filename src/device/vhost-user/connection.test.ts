/** vhost-user on a real socket: descriptors and all. */

import assert from 'node:assert/strict';
import { closeSync, openSync, readSync } from 'node:fs';
import { duplexPair } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { openFiles, untilClosed } from '../../testing/open-files.js';
import { loadPassing } from '../../testing/passing.js';
import { Random } from '../../testing/random.js';
import { BASE, part, SIZE, servedEcho } from '../../testing/served-echo.js';
import { until } from '../../testing/until.js';
import { state, u64, VhostClient } from '../../testing/vhost-client.js';
import { Echo } from '../../testing/virtio-echo.js';
import { connect } from '../connect.js';
import { StreamLink } from '../link.js';
import { loadNative } from '../native/native.js';
import { CONFIG, NEED_REPLY, REQUEST, VERSION } from './protocol.js';

const native = await loadNative();
const passing = await loadPassing();
const skip = native && passing ? false : 'koffi is not installed';

/** A device that is being served, and machines that connect to it. */
async function setup(t: TestContext, sharing: 'shared' | 'private' = 'shared') {
  assert.ok(native && passing);
  const { libc } = native;
  const served = await servedEcho(t, native, passing, sharing);
  const events: number[] = [];
  const newEvent = () => {
    const event = libc.newEvent();
    events.push(event);
    return event;
  };
  const client = async () =>
    new VhostClient(await served.connection(), passing, served.ram, served.memory.descriptor, newEvent);
  const end = async () => {
    await served.end();
    for (const event of events.splice(0)) closeSync(event);
  };
  t.after(end);
  return { ...served, client, newEvent, end };
}

test('a driver gets its requests back, and an interrupt for each that it wants one for', { skip }, async (t) => {
  const { client, ram, seen } = await setup(t);
  const machine = await client();
  await machine.greet();
  await machine.start();
  for (let round = 0; round < 300; round++) {
    ram.slice(BASE + 0x8000, 24).fill(round);
    const used = await machine.request(round & 1, [part(0, 10), part(10, 14)], [part(0x100, 8), part(0x200, 100)]);
    assert.deepEqual(used, { id: 0, length: 24 });
    assert.deepEqual(ram.slice(BASE + 0x8200, 16), new Uint8Array(16).fill(round));
  }
  await turn();
  assert.deepEqual([machine.called(0), machine.called(1)], [150, 150]);
  machine.rings[0]?.setAvailableFlags(1);
  await machine.request(0, [part(0, 10)], [part(0x100, 8)]);
  await turn();
  assert.equal(machine.called(0), 0);
  assert.deepEqual([seen.memory, seen.broken, seen.silent], [['descriptors'], [], 0]);
});

test('the configuration is read in any piece, and as much of it as there is; writing it changes nothing', {
  skip,
}, async (t) => {
  const { client } = await setup(t);
  const machine = await client();
  await machine.greet();
  const config = (offset: number, size: number) => {
    const bytes = new Uint8Array(CONFIG.size + 4);
    CONFIG.write(viewOf(bytes), 0, { offset, size, flags: 0 });
    return bytes;
  };
  const read = async (offset: number, size: number) => [
    ...(await machine.ask(REQUEST.getConfig, config(offset, size))).subarray(CONFIG.size),
  ];
  assert.deepEqual(await read(0, 4), [1, 2, 3, 4]);
  assert.deepEqual(await read(2, 4), [3, 4, 0, 0]);
  assert.deepEqual(await read(0, 257), []);
  assert.deepEqual(await read(0xffffffff, 0xffffffff), []);
  assert.ok(await machine.acknowledged(REQUEST.setConfig, config(0, 4)));
  assert.deepEqual(await read(0, 4), [1, 2, 3, 4]);
});

test('a machine stops its rings, or loses its device, and goes on where it was', { skip }, async (t) => {
  const { client, seen, device } = await setup(t);
  const machine = await client();
  await machine.greet();
  await machine.start();
  for (let round = 0; round < 5; round++) await machine.request(0, [part(0, 8)], [part(64, 8)]);
  const bases = await machine.stop();
  assert.deepEqual(bases, [5, 0]);
  // What is given to a ring that stands still is answered when it runs.
  machine.rings[1]?.submit([part(0, 8)], [part(64, 8)]);
  machine.kick(1);
  for (let turns = 0; turns < 50; turns++) await turn();
  assert.equal(machine.rings[1]?.collect(), undefined);
  await machine.start(bases);
  assert.deepEqual(await machine.request(0, [part(0, 8)], [part(64, 8)]), { id: 0, length: 8 });
  await until(() => machine.rings[1]?.collect() !== undefined);

  // The device is gone: the machine knows from the used rings how far it was.
  machine.socket.destroy();
  await until(() => seen.closed.length === 1);
  machine.rings[0]?.submit([part(0, 8)], [part(64, 8)]);
  const again = await client();
  again.rings.push(...machine.rings);
  again.kicks = machine.kicks;
  again.calls = machine.calls;
  await again.greet();
  const handled = device.handled;
  await again.start([6, 1]);
  await until(() => again.rings[0]?.collect() !== undefined);
  assert.deepEqual(await again.request(1, [part(0, 8)], [part(64, 8)]), { id: 0, length: 8 });
  assert.equal(device.handled, handled + 2);
  assert.deepEqual(seen.broken, []);
});

test('a ring is not stopped before the request under way is given back', { skip }, async (t) => {
  const { client, device } = await setup(t);
  const machine = await client();
  await machine.greet();
  await machine.start();
  const waiting: (() => void)[] = [];
  const handle = device.handle.bind(device);
  device.handle = async (chain, memory) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return handle(chain, memory);
  };
  let released = false;
  machine.rings[0]?.submit([part(0, 8)], [part(64, 8)]);
  machine.kick(0);
  await until(() => waiting.length > 0);
  const stopped = machine.ask(REQUEST.getRingBase, state(0, 0)).then((reply) => {
    assert.ok(released, 'the request came first');
    return viewOf(reply).getUint32(4, true);
  });
  for (let turns = 0; turns < 50; turns++) await turn();
  released = true;
  for (const release of waiting) release();
  assert.equal(await stopped, 1);
  assert.deepEqual(machine.rings[0]?.collect(), { id: 0, length: 8 });
});

test('a driver that breaks a ring breaks the device, once, until it is started anew', { skip }, async (t) => {
  const { client, seen, newEvent } = await setup(t);
  const machine = await client();
  await machine.greet();
  await machine.start();
  const error = newEvent();
  assert.ok(await machine.acknowledged(REQUEST.setRingError, u64(0n), [error]));
  machine.rings[0]?.setAvailable(500);
  machine.kick(0);
  await until(() => seen.broken.length > 0);
  assert.ok(isExhumeError(seen.broken[0], 'EXH_DEVICE_RING'));
  assert.equal(readSync(error, new Uint8Array(8), 0, 8, null), 8, 'the machine is told');
  machine.rings[1]?.submit([part(0, 8)], [part(64, 8)]);
  machine.kick(0);
  machine.kick(1);
  for (let turns = 0; turns < 50; turns++) await turn();
  assert.equal(machine.rings[1]?.collect(), undefined);
  assert.equal(seen.broken.length, 1);
  await machine.stop();
  await machine.start();
  assert.deepEqual(await machine.request(1, [part(0, 8)], [part(64, 8)]), { id: 0, length: 8 });
});

test('rings and memory where none can be are refused, and the machine is served on', { skip }, async (t) => {
  const { client, seen, passing, memory, newEvent } = await setup(t);
  const machine = await client();
  await machine.greet();
  const table = (changes: Parameters<VhostClient['memoryTable']>[0], files: readonly number[]) =>
    machine.acknowledged(REQUEST.setMemoryTable, machine.memoryTable(changes), files);
  const small = passing.memory(4096, 'shared').descriptor;
  t.after(() => closeSync(small));
  const event = newEvent();
  assert.deepEqual(
    [
      await table({}, [small]),
      await table({}, [event]),
      await table({}, []),
      await table({ regions: 2 }, [memory.descriptor, memory.descriptor]),
      await table({ regions: 9 }, [memory.descriptor]),
      await table({ size: 0 }, [memory.descriptor]),
      await table({ offset: 4096 }, [memory.descriptor]),
      await table({ address: 2 ** 53 - 4096 }, [memory.descriptor]),
      await machine.acknowledged(REQUEST.setRingSize, state(0, 0)),
      await machine.acknowledged(REQUEST.setRingSize, state(0, 100)),
      await machine.acknowledged(REQUEST.setRingSize, state(0, 65536)),
      await machine.acknowledged(REQUEST.setRingSize, state(2, 128)),
      await machine.acknowledged(REQUEST.setRingKick, u64(0n), [memory.descriptor]),
      await machine.acknowledged(REQUEST.setRingKick, u64(0n), []),
      await machine.acknowledged(REQUEST.setRingKick, u64(0x100n), []),
      await machine.acknowledged(REQUEST.setRingCall, u64(7n), [event]),
      await machine.acknowledged(REQUEST.setFeatures, u64(1n << 28n)),
      await machine.acknowledged(99, new Uint8Array(8)),
    ],
    new Array(18).fill(false),
  );
  // A ring that is not in any memory.
  assert.ok(await machine.acknowledged(REQUEST.setRingSize, state(0, 128)));
  await machine.acknowledged(REQUEST.setFeatures, u64((1n << 32n) | (1n << 30n)));
  assert.ok(await machine.acknowledged(REQUEST.setRingKick, u64(0n), [event]));
  assert.ok(await machine.acknowledged(REQUEST.setRingEnable, state(0, 1)));
  assert.ok(isExhumeError(seen.broken[0], 'EXH_DEVICE_MEMORY'));
  await machine.stop();
  await machine.start();
  assert.deepEqual(await machine.request(0, [part(0, 8)], [part(64, 8)]), { id: 0, length: 8 });
});

test('memory that is a private copy of what was passed is told of: requests do not stand in it', {
  skip,
}, async (t) => {
  const { client, seen, memory, device } = await setup(t, 'private');
  const machine = await client();
  await machine.greet();
  await machine.start();
  // Kicks that come while one is being looked at are one kick: on a busy machine it takes more of them.
  for (let round = 0; seen.memory.length === 0; round++) {
    assert.ok(round < 1000, 'it is never told');
    machine.rings[0]?.submit([part(0, 8)], [part(64, 8)], (2 * round) % 16);
    machine.kick(0);
    for (let turns = 0; turns < 20; turns++) await turn();
  }
  assert.deepEqual([seen.memory, device.handled], [['nothing'], 0]);
  const file = new Uint8Array(SIZE);
  readSync(memory.descriptor, file, 0, SIZE, 0);
  assert.ok(
    file.every((byte) => byte === 0),
    'the file is as it was',
  );
});

test('without descriptors there is no vhost-user, and that is what is said', async () => {
  const [ours, theirs] = duplexPair();
  const closed: (Error | undefined)[] = [];
  connect(new StreamLink(ours), new Echo(), { closed: (error) => closed.push(error) });
  theirs.write(Uint8Array.of(1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0));
  await until(() => closed.length > 0);
  assert.ok(isExhumeError(closed[0], 'EXH_UNSUPPORTED_FORMAT'));
});

test('tens of thousands of wrong messages, in any order, with any descriptors: none is left open', {
  skip,
}, async (t) => {
  const random = new Random(42);
  const before = openFiles();
  const { client, seen, passing, memory, native, end, ram } = await setup(t);
  const event = native.libc.newEvent();
  const zero = openSync('/dev/zero', 'r+');
  const small = passing.memory(4096, 'shared').descriptor;
  const pool = [memory.descriptor, event, event, zero, small] as const;
  const requests = Object.values(REQUEST) as [number, ...number[]];
  let machine = await client();
  let connections = 1;
  let sent = 0;
  for (let round = 0; round < 30_000; round++) {
    if (seen.closed.length === connections) {
      machine = await client();
      connections++;
    }
    const request = random.below(50) === 0 ? random.below(100) : random.pick(requests);
    const payload = random.pick([
      state(random.below(3), random.pick([0, 1, 128, 256, random.below(2 ** 31)])),
      u64(BigInt(random.pick([0, 1, 2, 0x100, 0x101]))),
      u64((1n << 32n) | (1n << 30n)),
      machine.memoryTable(),
      machine.memoryTable({ address: random.pick([BASE, 0]), size: random.pick([SIZE, 4096, 2 ** 50]) }),
      new Uint8Array(random.below(64)).map(() => random.below(256)),
      new Uint8Array(40),
    ]);
    if (random.below(6) === 0 && payload.length > 0) random.mutate(payload, 4);
    if (random.below(4) === 0) random.mutate(ram.bytes.subarray(0, 0x4000), 30);
    const descriptors = Array.from({ length: random.pick([0, 0, 1, 1, random.below(9)]) }, () => random.pick(pool));
    try {
      const flags = random.below(500) === 0 ? random.below(256) : VERSION | random.pick([0, NEED_REPLY, NEED_REPLY]);
      machine.post(request, payload, descriptors, flags);
      sent++;
    } catch {
      // Its end of the socket is closed, or full: it will be told.
    }
    if (random.below(8) === 0) {
      try {
        // As a driver would have it, so that rings run.
        if (random.below(20) === 0) await machine.greet().then(() => machine.start());
        else machine.kick(random.below(2));
      } catch {
        // Something else was asked for before, or the connection is closed.
      }
    }
    if (round % 16 === 0) await turn();
  }
  machine.socket.destroy();
  await until(() => seen.closed.length === connections);
  assert.ok(sent > 20_000 && connections > 100, `${sent} messages, ${connections} connections`);
  assert.ok(seen.broken.every((error) => isExhumeError(error, 'EXH_DEVICE_RING', 'EXH_DEVICE_MEMORY')));
  const wellBehaved = await client();
  await wellBehaved.greet();
  await wellBehaved.start();
  assert.deepEqual(await wellBehaved.request(0, [part(0, 8)], [part(64, 8)]), { id: 0, length: 8 });
  await end();
  for (const descriptor of [event, zero, small]) closeSync(descriptor);
  await untilClosed(before);
});
