import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { GuestRam } from '../testing/guest-ram.js';
import { MemoryRecords } from '../testing/memory-records.js';
import { Random } from '../testing/random.js';
import { PstoreDeviceV1 } from './pstore-device-v1.js';
import type { Part } from './virtqueue.js';

const [OPEN, READ, WRITE, ERASE, CLOSE] = [1, 2, 3, 4, 5];
const DMESG = 1;
const COMPRESSED = 1;
const HEADER: Part = { address: 0x1000, length: 32 };
const DATA: Part = { address: 0x2000, length: 16384 };

/** The driver of version 1, by its header file. */
function setup() {
  const ram = new GuestRam(0x10000);
  const records = new MemoryRecords();
  const device = new PstoreDeviceV1(records);
  const header = viewOf(ram.slice(HEADER.address, 32));
  const put = (command: number, { id = 0n, flags = 0, type = 0 } = {}) => {
    header.setBigUint64(0, id, true);
    header.setUint32(8, flags, true);
    header.setUint16(12, command, true);
    header.setUint16(14, type, true);
  };
  const ask = (readable: readonly Part[], writable: readonly Part[]) =>
    device.handle({ head: 0, readable, writable }, ram);
  const write = async (data: Uint8Array, flags = 0) => {
    put(WRITE, { type: DMESG, flags, id: 7n });
    ram.slice(DATA.address, data.length).set(data);
    return ask([HEADER, { ...DATA, length: data.length }], []);
  };
  const read = async () => {
    put(READ);
    const length = await ask([HEADER], [DATA]);
    if (length === 0) return undefined;
    return {
      id: header.getBigUint64(0, true),
      flags: header.getUint32(8, true),
      command: header.getUint16(12, true),
      type: header.getUint16(14, true),
      seconds: header.getBigUint64(16, true),
      nanoseconds: header.getUint32(24, true),
      data: ram.slice(DATA.address, length).slice(),
    };
  };
  return { ram, records, device, put, ask, write, read };
}

test('version 1: one queue, and records are described in the header that the driver gave', async () => {
  const { device, records, put, ask, write, read } = setup();
  assert.deepEqual([device.id, device.queues], [19, 1]);
  const data = Uint8Array.from({ length: 9000 }, (_, i) => i & 0xff);
  assert.equal(await write(data, COMPRESSED), 0);
  assert.equal(await write(data.subarray(0, 10)), 0);
  assert.equal(await write(new Uint8Array(0)), 0);
  put(OPEN);
  assert.equal(await ask([HEADER], []), 0);
  const first = await read();
  assert.deepEqual(first, {
    id: 1n,
    flags: COMPRESSED,
    command: READ,
    type: DMESG,
    seconds: 1_700_000_001n,
    nanoseconds: 1,
    data,
  });
  assert.deepEqual((await read())?.data, data.subarray(0, 10));
  assert.equal(await read(), undefined);
  put(CLOSE);
  await ask([HEADER], []);
  assert.equal(await read(), undefined);
  put(ERASE, { type: DMESG, id: 1n });
  assert.equal(await ask([HEADER], []), 0);
  assert.deepEqual(
    records.records.map(({ id }) => id),
    [2],
  );
  assert.equal(await write(new Uint8Array(16385)), 0);
  assert.equal(records.records.length, 1, 'larger than the buffer');
});

test('version 1: whatever is asked is answered within its bounds, or breaks the device', async () => {
  const random = new Random(19);
  const { ram, records, ask, put } = setup();
  let answered = 0;
  let broken = 0;
  for (let round = 0; round < 10_000; round++) {
    put(random.below(8), { id: BigInt(random.below(9)), flags: random.below(4), type: random.below(3) });
    if (random.below(3) === 0) random.mutate(ram.slice(HEADER.address, 32), 8);
    const part = () => ({ address: random.pick([0x1000, 0x2000, 0xfff0, 0x20000]), length: 1 + random.below(0x3000) });
    const header = { ...HEADER, length: random.pick([32, 32, 31, 8]) };
    const readable = [header, ...Array.from({ length: random.below(2) }, part)];
    const writable = Array.from({ length: random.below(3) }, part);
    try {
      const written = await ask(readable, writable);
      assert.ok(written <= writable.reduce((sum, { length }) => sum + length, 0));
      answered++;
    } catch (error) {
      assert.ok(isExhumeError(error, 'EXH_DEVICE_RING', 'EXH_DEVICE_MEMORY'), String(error));
      broken++;
    }
    if (records.records.length > 50) records.records.length = 0;
  }
  assert.ok(answered > 2000 && broken > 2000, `${answered} answered, ${broken} broken`);
});
