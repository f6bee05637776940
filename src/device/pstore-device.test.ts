import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { GuestRam } from '../testing/guest-ram.js';
import { MemoryRecords } from '../testing/memory-records.js';
import { PstoreDriver } from '../testing/pstore-driver.js';
import { Random } from '../testing/random.js';
import { VirtioDriver } from '../testing/virtio-driver.js';
import { PstoreDevice } from './pstore-device.js';
import { VirtioPciFunction } from './virtio-pci.js';

const BASE = 0x1_0000_0000;
const BUFFERS = BASE + 0x8000;
const [OPEN, READ, WRITE, ERASE, CLOSE] = [1, 2, 3, 4, 5];
const DMESG = 1;
const COMPRESSED = 1;

async function setup(bufferSize?: number) {
  const ram = new GuestRam(0x20000, BASE);
  const records = new MemoryRecords();
  const broken: Error[] = [];
  const pci = new VirtioPciFunction(new PstoreDevice(records, bufferSize), {
    memory: ram,
    interrupt: () => {},
    broken: (error) => broken.push(error),
  });
  const registers = {
    read: async (region: number, offset: number, count: number) =>
      region === 0 ? pci.readBar(offset, count) : pci.config.read(offset, count),
    post: (_region: number, offset: number, bytes: Uint8Array) => pci.writeBar(offset, bytes),
  };
  const driver = new PstoreDriver(new VirtioDriver(registers, ram), ram, BUFFERS);
  await driver.start();
  return { ram, records, broken, driver };
}

const bytes = (length: number, seed: number) => Uint8Array.from({ length }, (_, index) => (index * 7 + seed) & 0xff);

test('what a dying guest writes, the next one reads and erases', async () => {
  const { records, driver, broken } = await setup();
  assert.equal(driver.bufferSize, 16384);
  const [first, second] = [bytes(9773, 1), bytes(16384, 2)];
  assert.equal(await driver.write({ command: WRITE, type: DMESG, flags: COMPRESSED }, first), 0);
  assert.equal(await driver.write({ command: WRITE, type: DMESG }, second), 0);

  await driver.start();
  assert.equal(await driver.simple({ command: OPEN }), 0);
  const read = await driver.read();
  assert.deepEqual(read, {
    id: 1,
    type: DMESG,
    flags: COMPRESSED,
    seconds: 1_700_000_001n,
    nanoseconds: 1,
    data: first,
  });
  assert.deepEqual((await driver.read())?.data, second);
  assert.equal(await driver.read(), undefined);
  assert.equal(await driver.simple({ command: CLOSE }), 0);
  // The kernel has decompressed the record, and forgotten that it was.
  assert.equal(await driver.simple({ command: ERASE, type: DMESG, id: 1, flags: 0 }), 0);
  assert.deepEqual(
    records.records.map(({ id }) => id),
    [2],
  );
  assert.equal(await driver.simple({ command: ERASE, type: DMESG, id: 1 }), -2);
  assert.equal(await driver.simple({ command: ERASE, type: DMESG, id: 0xffffffffffffffffn }), -2);
  assert.deepEqual(broken, []);
});

test('outside of a pass there is nothing to read; a reset ends a pass', async () => {
  const { driver } = await setup();
  await driver.write({ command: WRITE, type: DMESG }, bytes(10, 0));
  assert.equal(await driver.read(), undefined);
  await driver.simple({ command: OPEN });
  await driver.start();
  assert.equal(await driver.read(), undefined);
});

test('why a record was not kept reaches the guest as an error of its own', async () => {
  const { driver, records } = await setup(4096);
  for (const [refusal, errno] of [
    ['full', -28],
    ['rate', -16],
    ['io', -5],
    ['size', -27],
  ] as const) {
    records.refuses = refusal;
    assert.equal(await driver.write({ command: WRITE, type: DMESG }, bytes(10, 0)), errno);
  }
  records.refuses = undefined;
  assert.equal(await driver.write({ command: WRITE, type: DMESG }, bytes(4097, 0)), -27, 'more than the buffer');
  assert.deepEqual(records.records, []);
});

test('a record that does not fit into the buffer, or has nothing in it, does not end the pass', async () => {
  const { driver, records } = await setup(4096);
  records.write({ type: DMESG, compressed: false, data: bytes(5000, 1) });
  records.write({ type: DMESG, compressed: false, data: bytes(0, 1) });
  records.write({ type: DMESG, compressed: false, data: bytes(4096, 3) });
  await driver.simple({ command: OPEN });
  assert.equal((await driver.read())?.id, 3);
  assert.equal(await driver.read(), undefined);
});

test('commands that are none, and requests without the parts that they need, are told so', async () => {
  const { driver, ram, broken } = await setup();
  for (const command of [0, 6, 0xffff]) assert.equal(await driver.simple({ command }), -22);
  assert.equal(await driver.simple({ command: READ }), -22, 'nowhere to read into');
  assert.equal(await driver.simple({ command: WRITE, type: DMESG }), -22, 'nothing to write');
  assert.deepEqual(broken, []);
  const part = (length: number) => ({ address: BUFFERS, length });
  assert.equal(await driver.virtio.request(0, [part(23)], [part(8)]), 'broken');
  await driver.start();
  assert.equal(await driver.virtio.request(0, [part(24)], [part(7)]), 'broken');
  assert.equal(broken.length, 2);
  assert.ok(broken.every((error) => isExhumeError(error, 'EXH_DEVICE_RING')));
  assert.equal(ram.bytes.length, 0x20000);
});

test('a buffer has 4 KiB to 1 MiB', () => {
  for (const size of [0, 4095, (1 << 20) + 1, Number.NaN]) {
    assert.throws(() => new PstoreDevice(new MemoryRecords(), size), /4096 to 1048576 bytes/);
  }
  assert.equal(viewOf(new PstoreDevice(new MemoryRecords(), 1 << 20).config).getUint32(0, true), 1 << 20);
});

test('tens of thousands of malformed requests: each is answered or breaks the device, and a reset mends it', async () => {
  const random = new Random(2016);
  const { driver, ram, records, broken } = await setup(4096);
  const address = () =>
    random.pick([BUFFERS + random.below(0x8000), BUFFERS, BASE + 0x1ffff, 0, random.below(2 ** 31)]);
  const part = () => ({ address: address(), length: random.pick([24, 8, 40, 4096, 1, 0, random.below(0x8000)]) });
  const parts = () => Array.from({ length: random.below(4) }, part);
  let answered = 0;
  for (let round = 0; round < 20_000; round++) {
    const queue = random.below(2);
    const request = viewOf(ram.slice(BUFFERS, 24));
    for (let at = 0; at < 24; at += 2) request.setUint16(at, random.pick([0, 1, random.below(8), 0xffff]), true);
    const wholesome = random.below(2) === 0;
    const readable = wholesome ? [{ address: BUFFERS, length: 24 }, ...(queue ? parts() : [])] : parts();
    const writable = wholesome ? [{ address: BUFFERS + 0x4000, length: 8 }, ...(queue ? [] : parts())] : parts();
    if (readable.length + writable.length === 0) continue;
    const used = await driver.virtio.request(queue, readable, writable);
    const room = writable.reduce((sum, { length }) => sum + length, 0);
    if (used === 'broken') await driver.start();
    else {
      answered++;
      assert.ok(used.length <= room, `${used.length} bytes written into ${room}`);
    }
    if (records.records.length > 50) records.records.length = 0;
  }
  assert.ok(answered > 3000 && broken.length > 3000, `${answered} answered, ${broken.length} broken`);
  assert.ok(broken.every((error) => isExhumeError(error, 'EXH_DEVICE_RING', 'EXH_DEVICE_MEMORY')));
  await driver.start();
  assert.equal(await driver.write({ command: WRITE, type: DMESG }, bytes(100, 9)), 0);
});
