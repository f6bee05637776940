/** Descriptors that come with messages of vfio-user: a machine on a real socket, its memory in a file. */

import assert from 'node:assert/strict';
import { closeSync, openSync, readSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { isExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { openFiles, untilClosed } from '../testing/open-files.js';
import { loadPassing } from '../testing/passing.js';
import { Random } from '../testing/random.js';
import { BASE, part, SIZE, servedEcho } from '../testing/served-echo.js';
import { until } from '../testing/until.js';
import { VfioClient } from '../testing/vfio-client.js';
import { VirtioDriver } from '../testing/virtio-driver.js';
import { loadNative } from './native/native.js';
import { RamFile } from './ram-file.js';
import { COMMAND, DMA_MAP, IRQ_SET } from './vfio-user/protocol.js';

const native = await loadNative();
const passing = await loadPassing();
const skip = native && passing ? false : 'koffi is not installed';

/** A machine whose memory is in a file, connected to a device. */
async function machine(t: TestContext, sharing: 'shared' | 'private') {
  assert.ok(native && passing);
  const served = await servedEcho(t, native, passing, sharing);
  const socket = await served.connection();
  const client = new VfioClient(socket, served.ram, (bytes, descriptors) => passing.send(socket, bytes, descriptors));
  return { ...served, passing, client, socket, driver: new VirtioDriver(client, served.ram) };
}

test('memory that is shared is read and written in place, once a message has shown that it is', { skip }, async (t) => {
  const { client, driver, ram, memory, seen } = await machine(t, 'shared');
  await client.start(undefined, [memory.descriptor]);
  await driver.start();
  ram.slice(BASE + 0x8000, 100).fill(1);
  assert.deepEqual(await driver.request(0, [part(0, 100)], [part(0x200, 100)]), { id: 0, length: 100 });
  assert.deepEqual(seen.memory, ['descriptors']);
  const { accesses } = client;
  for (let round = 0; round < 300; round++) {
    ram.slice(BASE + 0x8000, 100).fill(round);
    assert.deepEqual(await driver.request(round & 1, [part(0, 100)], [part(0x200, 100)]), { id: 0, length: 100 });
    assert.deepEqual(ram.slice(BASE + 0x8200, 100), new Uint8Array(100).fill(round));
  }
  assert.equal(client.accesses, accesses, 'no messages any more');
});

test('a descriptor of what the memory is a private copy of is never written to, nor believed', { skip }, async (t) => {
  const { client, driver, ram, memory, seen } = await machine(t, 'private');
  await client.start(undefined, [memory.descriptor]);
  await driver.start();
  for (let round = 1; round < 50; round++) {
    ram.slice(BASE + 0x8000, 100).fill(round);
    assert.deepEqual(await driver.request(0, [part(0, 100)], [part(0x200, 100)]), { id: 0, length: 100 });
    assert.deepEqual(ram.slice(BASE + 0x8200, 100), new Uint8Array(100).fill(round));
  }
  assert.deepEqual(seen.memory, ['messages']);
  const file = new Uint8Array(SIZE);
  assert.equal(readSync(memory.descriptor, file, 0, SIZE, 0), SIZE);
  assert.ok(
    file.every((byte) => byte === 0),
    'the file is as it was',
  );
});

test('what was shared and is mapped anew has to show it anew', { skip }, async (t) => {
  const { client, driver, memory, seen } = await machine(t, 'shared');
  await client.start(undefined, [memory.descriptor]);
  await driver.start();
  await driver.request(0, [part(0, 8)], [part(64, 8)]);
  const unmap = new Uint8Array(24);
  viewOf(unmap).setBigUint64(8, BigInt(BASE), true);
  viewOf(unmap).setBigUint64(16, BigInt(SIZE), true);
  await client.call(COMMAND.dmaUnmap, unmap);
  await client.map(BASE, 0x10000, 3, [memory.descriptor]);
  await client.map(BASE + 0x10000, 0x10000, 3, [memory.descriptor]);
  await driver.start();
  await driver.request(0, [part(0, 8)], [part(64, 8)]);
  assert.deepEqual(seen.memory, ['descriptors', 'descriptors']);
});

test('a file is memory when it is in memory and large enough; one that shrinks says so', { skip }, async () => {
  assert.ok(passing);
  const { descriptor } = passing.memory(8192, 'shared');
  assert.equal(RamFile.of(passing.memory(8192, 'shared').descriptor, 8193), undefined);
  assert.equal(RamFile.of(openSync('/dev/zero', 'r+'), 0), undefined);
  assert.equal(RamFile.of(openSync(process.execPath, 'r'), 4096), undefined);
  const file = RamFile.of(descriptor, 8192);
  assert.ok(file);
  assert.ok(file.write(8000, Uint8Array.of(1, 2, 3)));
  const bytes = new Uint8Array(4);
  assert.ok(file.read(7999, bytes));
  assert.deepEqual([...bytes], [0, 1, 2, 3]);
  passing.truncate(descriptor, 8001);
  assert.equal(file.read(7999, bytes), false);
  file.close();
  assert.equal(file.read(0, bytes), false);
});

test('interrupts are raised through the counters that came; a vector without one is told of once', {
  skip,
}, async (t) => {
  const { client, driver, memory, seen, native } = await machine(t, 'shared');
  await client.start(undefined, [memory.descriptor]);
  const counters = [native.libc.newEvent(), native.libc.newEvent()];
  t.after(() => counters.forEach(closeSync));
  const read = (index: number): bigint => {
    const bytes = new Uint8Array(8);
    try {
      readSync(counters[index] ?? -1, bytes, 0, 8, null);
    } catch {
      return 0n;
    }
    return viewOf(bytes).getBigUint64(0, true);
  };
  const set = (start: number, count: number, descriptors: readonly number[]) => {
    const body = new Uint8Array(IRQ_SET.size);
    const flags = descriptors.length > 0 ? 0x24 : 0x21;
    IRQ_SET.write(viewOf(body), 0, { argumentSize: 20, flags, index: 2, start, count });
    return client.call(COMMAND.setIrqs, body, descriptors);
  };
  await set(0, 2, counters);
  await driver.start();
  for (const [queue, vector] of [
    [0, 0],
    [1, 1],
  ] as const) {
    driver.set(22, queue, 2);
    driver.set(26, vector, 2);
  }
  await driver.request(0, [part(0, 8)], [part(64, 8)]);
  await driver.request(1, [part(0, 8)], [part(64, 8)]);
  await driver.request(1, [part(0, 8)], [part(64, 8)]);
  await driver.status();
  assert.deepEqual([read(0), read(1)], [1n, 2n]);
  assert.equal(seen.silent, 0);
  await set(0, 0, []);
  await driver.request(0, [part(0, 8)], [part(64, 8)]);
  await driver.request(0, [part(0, 8)], [part(64, 8)]);
  await driver.status();
  assert.deepEqual([read(0), seen.silent], [0n, 1]);
});

test('whatever descriptors come with whatever message, none is left open and the machine is served on', {
  skip,
}, async (t) => {
  const random = new Random(253);
  const before = openFiles();
  const { client, driver, memory, passing, native, end, socket } = await machine(t, 'shared');
  const event = native.libc.newEvent();
  const zero = openSync('/dev/zero', 'r+');
  const small = passing.memory(4096, 'shared');
  await client.start(undefined, [memory.descriptor]);
  const pool = [memory.descriptor, event, zero, small.descriptor] as const;
  for (let round = 0; round < 20_000; round++) {
    const descriptors = Array.from({ length: random.below(9) }, () => random.pick(pool));
    const command = random.pick([
      COMMAND.dmaMap,
      COMMAND.dmaMap,
      COMMAND.dmaUnmap,
      COMMAND.setIrqs,
      random.below(20) || 4,
    ]);
    if (command === COMMAND.reset || command === COMMAND.version) continue;
    const body = new Uint8Array(random.pick([32, 24, 20, random.below(64)]));
    if (body.length === DMA_MAP.size) {
      const address = random.pick([0, 0x100000, 0x200000 + 0x1000 * random.below(64)]);
      const size = random.pick([0x1000, SIZE, 2 ** 40, 0]);
      DMA_MAP.write(viewOf(body), 0, {
        argumentSize: 32,
        flags: 3,
        offset: random.pick([0, 0x1000, 2 ** 50]),
        address,
        size,
      });
    } else if (body.length === IRQ_SET.size) {
      const [index, start, count] = [random.below(4), random.below(4), random.below(5)];
      IRQ_SET.write(viewOf(body), 0, { argumentSize: 20, flags: 0x24, index, start, count });
    }
    if (random.below(4) === 0) random.mutate(body.length > 0 ? body : new Uint8Array(1), 4);
    await client.ask(command, body, descriptors);
  }
  // Nothing but its own memory, as a new machine maps it.
  const all = new Uint8Array(24);
  viewOf(all).setUint32(4, 2, true);
  await client.call(COMMAND.dmaUnmap, all);
  await client.map(BASE, SIZE, 3, [memory.descriptor]);
  await driver.start();
  assert.deepEqual(await driver.request(0, [part(0, 8)], [part(64, 8)]), { id: 0, length: 8 });
  // The end comes in the midst of a message that brought some.
  passing.send(socket, new Uint8Array(5).fill(1), [event, zero]);
  await client.read(7, 0, 0).catch(() => {});
  await end();
  for (const descriptor of [event, zero, small.descriptor]) closeSync(descriptor);
  await untilClosed(before);
});

test('more descriptors than any message brings end the connection', { skip }, async (t) => {
  const { client, seen, passing, socket, memory } = await machine(t, 'shared');
  await client.start();
  passing.send(
    socket,
    Uint8Array.of(1, 0, 2, 0),
    Array.from({ length: 200 }, () => memory.descriptor),
  );
  await until(() => seen.closed.length > 0);
  assert.ok(isExhumeError(seen.closed[0], 'EXH_DEVICE_PROTOCOL'));
});
