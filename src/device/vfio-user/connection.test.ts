import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { GuestRam } from '../../testing/guest-ram.js';
import { Random } from '../../testing/random.js';
import { until } from '../../testing/until.js';
import { VfioClient } from '../../testing/vfio-client.js';
import { VirtioDriver } from '../../testing/virtio-driver.js';
import { Echo } from '../../testing/virtio-echo.js';
import { connect } from '../connect.js';
import { StreamLink } from '../link.js';
import { encodeMessage } from './message.js';
import { COMMAND, ERROR, IRQ_SET } from './protocol.js';

const BASE = 0x1_0000_0000;
const BUFFERS = BASE + 0x8000;

async function setup(device = new Echo()) {
  const ram = new GuestRam(0x20000, BASE);
  const [ours, theirs] = duplexPair();
  const seen: { broken: Error[]; silent: number; closed: (Error | undefined)[] } = {
    broken: [],
    silent: 0,
    closed: [],
  };
  connect(new StreamLink(ours), device, {
    broken: (error) => seen.broken.push(error),
    silent: () => seen.silent++,
    closed: (error) => seen.closed.push(error),
  });
  const client = new VfioClient(theirs, ram);
  const driver = new VirtioDriver(client, ram);
  return { ram, device, client, driver, seen };
}

const part = (offset: number, length: number) => ({ address: BUFFERS + offset, length });

test('a driver finds the device by its capabilities and gets its requests back', async () => {
  const { ram, client, driver, seen, device } = await setup();
  await client.start();
  assert.equal(await driver.find(), 5);
  await driver.start();
  assert.deepEqual([...(await driver.config(0, 4))], [1, 2, 3, 4]);
  for (const queue of [0, 1]) {
    ram.slice(BUFFERS, 24).fill(7 + queue);
    assert.deepEqual(await driver.request(queue, [part(0, 10), part(10, 14)], [part(0x100, 8), part(0x200, 100)]), {
      id: 0,
      length: 24,
    });
    assert.deepEqual(ram.slice(BUFFERS + 0x100, 8), new Uint8Array(8).fill(7 + queue));
    assert.deepEqual(
      ram.slice(BUFFERS + 0x200, 17),
      Uint8Array.from({ length: 17 }, (_, i) => (i < 16 ? 7 + queue : 0)),
    );
  }
  assert.equal(device.handled, 2);
  assert.deepEqual(seen.broken, []);
});

test('the function is virtio device 22, modern only, with MSI-X, and its BAR tells its size', async () => {
  const { client } = await setup();
  await client.start();
  const config = viewOf(await client.read(7, 0, 256));
  assert.deepEqual([config.getUint16(0, true), config.getUint16(2, true)], [0x1af4, 0x1056]);
  assert.ok(config.getUint8(8) >= 1, 'revision of a modern device');
  await client.write(7, 0x10, Uint8Array.of(0xff, 0xff, 0xff, 0xff));
  assert.deepEqual([...(await client.read(7, 0x10, 4))], [0, 0x80, 0xff, 0xff]);
  await client.write(7, 4, Uint8Array.of(0xff, 0xff));
  assert.deepEqual([...(await client.read(7, 4, 2))], [0x46, 5], 'memory and bus master stay set, ports do not');
  await client.write(7, 0, Uint8Array.of(0, 0, 0, 0));
  assert.deepEqual([...(await client.read(7, 0, 2))], [0xf4, 0x1a]);
  await client.call(COMMAND.reset, new Uint8Array(0));
  assert.deepEqual([...(await client.read(7, 0x10, 4))], [0, 0, 0, 0]);
});

test('the BAR is reached through the configuration space as well', async () => {
  const { client, driver } = await setup();
  await client.start();
  await driver.find();
  const config = viewOf(await client.read(7, 0, 256));
  let at = config.getUint8(0x34);
  while (config.getUint8(at) !== 9 || config.getUint8(at + 3) !== 5) at = config.getUint8(at + 1);
  assert.equal(config.getUint8(at + 2), 20);
  const aim = async (offset: number, size: number, bar = 0) => {
    const bytes = new Uint8Array(12);
    viewOf(bytes).setUint8(0, bar);
    viewOf(bytes).setUint32(4, offset, true);
    viewOf(bytes).setUint32(8, size, true);
    await client.write(7, at + 4, bytes);
  };
  await aim(0x2000, 4);
  assert.deepEqual([...(await client.read(7, at + 16, 4))], [1, 2, 3, 4]);
  await aim(20, 1);
  await client.write(7, at + 16, Uint8Array.of(3));
  assert.equal(await driver.get(20, 1), 3);
  for (const [offset, size, bar] of [
    [20, 1, 1],
    [20, 0, 0],
    [20, 3, 0],
    [0x7fff, 2, 0],
    [0x8000, 4, 0],
    [0xfffffffc, 4, 0],
  ] as const) {
    await aim(offset, size, bar);
    await client.write(7, at + 16, Uint8Array.of(0, 0, 0, 0));
    assert.equal((await client.read(7, at + 16, 4)).length, 4);
  }
  assert.equal(await driver.get(20, 1), 3, 'what cannot be aimed at is not touched');
});

test('only VERSION_1 is on offer, and nothing else or less is accepted', async () => {
  const { client, driver } = await setup();
  await client.start();
  await driver.find();
  assert.equal(await driver.get(4, 4), 0);
  driver.set(0, 1, 4);
  assert.equal(await driver.get(4, 4), 1);
  driver.set(20, 3, 1);
  driver.set(20, 11, 1);
  assert.equal(await driver.get(20, 1), 3, 'without VERSION_1');
  driver.set(8, 1, 4);
  driver.set(12, 1, 4);
  driver.set(8, 0, 4);
  driver.set(12, 1 << 28, 4);
  driver.set(20, 11, 1);
  assert.equal(await driver.get(20, 1), 3, 'with indirect descriptors');
  driver.set(12, 0, 4);
  driver.set(20, 11, 1);
  assert.equal(await driver.get(20, 1), 11);
});

test('registers are answered while memory is not: a CPU that waits for the one keeps the other from moving', async () => {
  const { client, driver, device } = await setup();
  await client.start();
  await driver.start();
  client.serving = false;
  driver.rings[0]?.submit([part(0, 24)], [part(64, 24)]);
  driver.notify(0);
  for (let round = 0; round < 50; round++) assert.equal(await driver.status(), 15);
  assert.equal(device.handled, 0);
  client.resume();
  while (!driver.rings[0]?.collect()) await turn();
  assert.equal(device.handled, 1);
});

test('a reset is complete when no memory is touched any more', async () => {
  const { client, driver } = await setup();
  await client.start();
  await driver.start();
  client.serving = false;
  driver.rings[0]?.submit([part(0, 24)], [part(64, 24)]);
  driver.notify(0);
  driver.set(20, 0, 1);
  assert.equal(await driver.status(), 15);
  driver.set(20, 0, 1);
  assert.equal(await driver.status(), 15, 'a second reset does not hide the first');
  client.resume();
  await driver.reset();
  const { accesses } = client;
  for (let round = 0; round < 20; round++) await driver.status();
  assert.equal(client.accesses, accesses);
  await driver.start();
  assert.deepEqual(await driver.request(0, [part(0, 8)], [part(64, 8)]), { id: 0, length: 8 });
});

test('a driver that breaks the ring breaks its device, once, until it resets it', async () => {
  const { client, driver, seen, device } = await setup();
  await client.start();
  await driver.start();
  driver.rings[0]?.setAvailable(500);
  driver.notify(0);
  while (((await driver.status()) & 0x40) === 0) await turn();
  driver.notify(0);
  driver.notify(1);
  assert.equal(await driver.status(), 15 | 0x40);
  assert.equal(seen.broken.length, 1);
  assert.ok(isExhumeError(seen.broken[0], 'EXH_DEVICE_RING'));
  await driver.start();
  assert.deepEqual(await driver.request(1, [part(0, 8)], [part(64, 8)]), { id: 0, length: 8 });
  assert.equal(device.handled, 1);
});

test('a ring where none can be breaks the device, once however often it is tried', async () => {
  const { client, driver, seen } = await setup();
  await client.start();
  for (const [register, value] of [
    [32, 8],
    [40, 1],
    [48, 2],
    [36, 0xffffffff],
  ] as const) {
    await driver.find();
    await driver.reset();
    const before = seen.broken.length;
    driver.set(register, value, 4);
    for (let tries = 0; tries < 5; tries++) driver.set(28, 1, 2);
    assert.equal(await driver.get(28, 2), 0);
    assert.equal(await driver.status(), 0x40);
    assert.equal(seen.broken.length, before + 1);
    assert.ok(isExhumeError(seen.broken.at(-1), 'EXH_DEVICE_RING'));
  }
});

test('addresses outside of what the machine mapped break the device; what the machine refuses, too', async () => {
  const { client, driver, seen } = await setup();
  await client.start();
  await client.map(0x5000_0000, 0x1000);
  await client.map(0x6000_0000, 0x1000, 1);
  for (const [readable, writable] of [
    [{ address: BASE + 0x1fff0, length: 32 }, part(0, 32)],
    [part(0, 32), { address: 0x6000_0000, length: 32 }],
    [{ address: 0x5000_0000, length: 32 }, part(0, 32)],
  ] as const) {
    await driver.start();
    assert.equal(await driver.request(0, [readable], [writable]), 'broken');
    assert.ok(isExhumeError(seen.broken.at(-1), 'EXH_DEVICE_MEMORY'));
  }
  assert.match(String(seen.broken.at(-1)), /error 14/);
  assert.equal(seen.broken.length, 3);
});

test('mappings that follow one another are one memory; unmapped, they are none', async () => {
  const { client, driver, ram } = await setup();
  await client.start();
  const unmap = new Uint8Array(24);
  viewOf(unmap).setBigUint64(8, BigInt(BASE), true);
  viewOf(unmap).setBigUint64(16, BigInt(ram.bytes.length), true);
  assert.deepEqual((await client.call(COMMAND.dmaUnmap, unmap)).body, unmap);
  assert.equal((await client.ask(COMMAND.dmaUnmap, unmap)).errno, 2);
  await client.map(BASE, 0x8100);
  await client.map(BASE + 0x8100, 0x17f00);
  assert.equal((await client.ask(COMMAND.dmaMap, new Uint8Array(32))).errno, 22, 'nothing');
  await assert.rejects(client.map(BASE + 0x100, 0x1000), /error 17/);
  await driver.start();
  assert.deepEqual(await driver.request(0, [part(0x80, 0x100)], [part(0x800, 0x100)]), { id: 0, length: 0x100 });
});

test('large requests move in the pieces that the client takes', async () => {
  const { client, driver, ram } = await setup();
  await client.start('{"capabilities":{"max_data_xfer_size":4096}}');
  await driver.start();
  ram.slice(BUFFERS, 0x1800).forEach((_, index, bytes) => {
    bytes[index] = index % 251;
  });
  assert.deepEqual(await driver.request(0, [part(0, 0x1800)], [part(0x1800, 0x1800)]), { id: 0, length: 0x1800 });
  assert.deepEqual(ram.slice(BUFFERS + 0x1800, 0x1800), ram.slice(BUFFERS, 0x1800));
});

test('what QEMU cannot answer at once is asked for in pieces', async () => {
  class Large extends Echo {
    override readonly mostBytes = 0x18000;
  }
  const { client, driver, ram } = await setup(new Large());
  await client.start();
  await driver.start();
  ram.slice(BUFFERS, 0xa123).forEach((_, index, bytes) => {
    bytes[index] = index % 251;
  });
  assert.deepEqual(await driver.request(0, [part(0, 0xa123)], [part(0xb000, 0xb000)]), { id: 0, length: 0xa123 });
  assert.deepEqual(ram.slice(BUFFERS + 0xb000, 0xa123), ram.slice(BUFFERS, 0xa123));
});

test('a driver that wants interrupts is told of, once; vectors can be set as QEMU does', async () => {
  const { client, driver, seen } = await setup();
  await client.start();
  const set = new Uint8Array(IRQ_SET.size);
  IRQ_SET.write(viewOf(set), 0, { argumentSize: 20, flags: 0x24, index: 2, start: 0, count: 3 });
  await client.call(COMMAND.setIrqs, set);
  IRQ_SET.write(viewOf(set), 0, { argumentSize: 20, flags: 0x24, index: 2, start: 1, count: 3 });
  assert.equal((await client.ask(COMMAND.setIrqs, set)).errno, 22);
  await driver.start();
  driver.set(22, 0, 2);
  driver.set(26, 1, 2);
  await driver.request(0, [part(0, 8)], [part(64, 8)]);
  await driver.request(0, [part(0, 8)], [part(64, 8)]);
  await driver.status();
  assert.equal(seen.silent, 1);
});

test('what is not asked for rightly is refused by number, and the connection goes on', async () => {
  const { client } = await setup();
  await client.start();
  const body = new Uint8Array(16);
  viewOf(body).setUint32(12, 0xffffffff, true);
  const refusals: [number, Uint8Array][] = [
    [COMMAND.regionRead, body],
    [COMMAND.regionRead, new Uint8Array(3)],
    [COMMAND.regionWrite, body],
    [COMMAND.getRegionInfo, new Uint8Array(32).fill(9)],
    [COMMAND.getIrqInfo, new Uint8Array(16).fill(9)],
    [16, new Uint8Array(8)],
    [999, new Uint8Array(0)],
  ];
  for (const [command, bytes] of refusals) {
    const { flags, errno } = await client.ask(command, bytes);
    assert.ok(flags & ERROR && errno > 0, `command ${command}`);
  }
  assert.equal((await client.read(7, 0, 4)).length, 4);
});

for (const [name, bytes] of [
  ['a message that is shorter than its header', new Uint8Array(16)],
  ['a message of gigabytes', new Uint8Array(16).fill(0xff)],
  ['a command before the version', encodeMessage({ id: 1, command: 13, flags: 0, errno: 0, body: new Uint8Array(0) })],
  [
    'capabilities that are no JSON',
    encodeMessage({ id: 1, command: 1, flags: 0, errno: 0, body: Buffer.from('\0\0\0\0{nonsense\0') }),
  ],
] as const) {
  test(`closed: ${name}`, async () => {
    const { client, seen } = await setup();
    client.socket.write(bytes);
    await until(() => seen.closed.length > 0);
    assert.ok(isExhumeError(seen.closed[0], 'EXH_DEVICE_PROTOCOL'));
  });
}

test('a machine that ends in the middle of a request leaves nothing behind', async () => {
  const { client, driver, seen, device } = await setup();
  await client.start();
  await driver.start();
  client.serving = false;
  driver.rings[0]?.submit([part(0, 24)], [part(64, 24)]);
  driver.notify(0);
  await driver.status();
  const resets = device.resets;
  client.socket.end();
  await until(() => seen.closed.length > 0);
  assert.deepEqual([seen.closed, seen.broken, device.resets], [[undefined], [], resets + 1]);
});

test('whatever registers are written and messages sent, each is answered and the next driver is served', async () => {
  const random = new Random(1056);
  const { client, driver, ram } = await setup();
  await client.start();
  for (let round = 0; round < 60; round++) {
    await driver.start();
    for (let step = 0; step < 100; step++) {
      const width = random.pick<1 | 2 | 4>([1, 2, 4]);
      const offset = random.pick([random.below(64), random.below(0x8000), 0x3000, 0x3004]);
      const value = random.pick([0, 1, 2, 0x7f, 0xffff, random.below(2 ** 31)]);
      if (random.below(8) > 0) driver.set(Math.min(offset, 0x7ffc), value, width);
      else
        await client.ask(
          random.below(20) || 4,
          ram.slice(BASE, random.below(64)).map(() => random.below(256)),
        );
      if (random.below(4) === 0) random.mutate(ram.bytes.subarray(0, 0x4000), 30);
    }
    await client.ask(COMMAND.dmaMap, mapping());
  }
  await driver.start();
  assert.deepEqual(await driver.request(0, [part(0, 8)], [part(64, 8)]), { id: 0, length: 8 });
});

/** All of the memory; refused where it is mapped already. */
function mapping(): Uint8Array {
  const body = new Uint8Array(32);
  viewOf(body).setUint32(4, 3, true);
  viewOf(body).setBigUint64(16, BigInt(BASE), true);
  viewOf(body).setBigUint64(24, 0x20000n, true);
  return body;
}
