import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExhumeError } from '../bytes/errors.js';
import { GuestRam } from '../testing/guest-ram.js';
import { Random } from '../testing/random.js';
import { RingDriver } from '../testing/ring-driver.js';
import { Virtqueue } from './virtqueue.js';

const BASE = 0x1_0000_0000;
const RING = BASE + 0x1000;
const BUFFERS = BASE + 0x4000;

function setup(size = 128, mostBytes = 0x8000) {
  const ram = new GuestRam(0x10000, BASE);
  const driver = new RingDriver(ram, RING, size);
  const queue = new Virtqueue(ram, { size, addresses: driver.addresses, mostBytes });
  return { ram, driver, queue };
}

const part = (offset: number, length: number) => ({ address: BUFFERS + offset, length });

test('a request is handed out in parts, and given back with what was written', async () => {
  const { driver, queue } = setup();
  assert.equal(await queue.take(), undefined);
  driver.submit([part(0, 24), part(0x100, 500)], [part(0x800, 8)], 5);
  const chain = await queue.take();
  assert.deepEqual(chain, { head: 5, readable: [part(0, 24), part(0x100, 500)], writable: [part(0x800, 8)] });
  assert.equal(await queue.take(), undefined);
  assert.ok(chain);
  assert.equal(driver.collect(), undefined);
  assert.equal(await queue.complete(chain, 8), true);
  assert.deepEqual(driver.collect(), { id: 5, length: 8 });
  assert.equal(driver.collect(), undefined);
});

test('a driver that polls asks for no interrupt', async () => {
  const { driver, queue } = setup();
  driver.setAvailableFlags(1);
  driver.submit([part(0, 24)], [part(64, 8)]);
  const chain = await queue.take();
  assert.ok(chain);
  assert.equal(await queue.complete(chain, 0), false);
});

test('indexes wrap at 2^16, in a ring of any size', async () => {
  const { driver, queue } = setup(4);
  for (let round = 0; round < 0x10000 + 10; round++) {
    const head = round & 3;
    driver.submit([], [part(round % 1000, 8)], head);
    const chain = await queue.take();
    assert.equal(chain?.head, head);
    assert.equal(chain.writable[0]?.address, BUFFERS + (round % 1000));
    await queue.complete(chain, round);
    assert.deepEqual(driver.collect(), { id: head, length: round });
  }
});

test('a chain of all descriptors is a request; requests may be returned in any order', async () => {
  const { driver, queue } = setup(8);
  driver.submit([part(0, 1), part(1, 1), part(2, 1)], [part(3, 1)], 0);
  driver.submit([part(4, 1), part(5, 1), part(6, 1)], [part(7, 1)], 4);
  const first = await queue.take();
  const second = await queue.take();
  assert.ok(first && second);
  await queue.complete(second, 1);
  await queue.complete(first, 2);
  assert.deepEqual(
    [driver.collect(), driver.collect()],
    [
      { id: 4, length: 1 },
      { id: 0, length: 2 },
    ],
  );
});

const HOSTILE: Record<string, [RegExp, (driver: RingDriver) => void]> = {
  'the available index is ahead of the ring': [/129 requests ahead/, (driver) => driver.setAvailable(129)],
  'the available index goes back': [/65535 requests ahead/, (driver) => driver.setAvailable(-1)],
  'a head outside the table': [/names descriptor 128/, (driver) => driver.offer(128)],
  'a next outside the table': [
    /goes on at 65535/,
    (driver) => {
      driver.descriptor(0, { ...part(0, 8), flags: 1, next: 0xffff });
      driver.offer(0);
    },
  ],
  'a descriptor that follows itself': [
    /circle/,
    (driver) => {
      driver.descriptor(3, { ...part(0, 8), flags: 1, next: 3 });
      driver.offer(3);
    },
  ],
  'an indirect table, which was not offered': [
    /indirect/,
    (driver) => {
      driver.descriptor(0, { ...part(0, 32), flags: 4 });
      driver.offer(0);
    },
  ],
  'an empty part': [/is empty/, (driver) => driver.submit([part(0, 0)], [])],
  'an address past 2^53': [/no address/, (driver) => driver.submit([{ address: 1n << 60n, length: 8 }], [])],
  'an end past 2^64': [/no address/, (driver) => driver.submit([{ address: 0xffffffffffffffffn, length: 8 }], [])],
  'what is read after what is written': [
    /after one to be written/,
    (driver) => {
      driver.descriptor(0, { ...part(0, 8), flags: 3, next: 1 });
      driver.descriptor(1, part(8, 8));
      driver.offer(0);
    },
  ],
  'more bytes than a request may have': [/more than 32768/, (driver) => driver.submit([part(0, 0x7fff)], [part(0, 2)])],
  'lengths that add up past 2^32': [
    /more than 32768/,
    (driver) => driver.submit([part(0, 0xffffffff), part(0, 0xffffffff)], []),
  ],
};

for (const [name, [message, act]] of Object.entries(HOSTILE)) {
  test(`refused: ${name}`, async () => {
    const { driver, queue } = setup();
    act(driver);
    await assert.rejects(
      queue.take(),
      (error) => error instanceof ExhumeError && error.code === 'EXH_DEVICE_RING' && message.test(error.message),
    );
  });
}

test('refused: a descriptor that is given again before it was returned', async () => {
  const { driver, queue } = setup();
  driver.submit([part(0, 8)], []);
  await queue.take();
  driver.offer(0);
  await assert.rejects(queue.take(), /given again/);
});

test('a ring outside of memory is refused', async () => {
  const ram = new GuestRam(0x1000);
  const addresses = { descriptors: 0, available: 0x800, used: 0xffc };
  const queue = new Virtqueue(ram, { size: 128, addresses, mostBytes: 0x1000 });
  ram.view.setUint16(0x802, 1, true);
  ram.view.setUint32(8, 8, true);
  const chain = await queue.take();
  assert.ok(chain);
  await assert.rejects(queue.complete(chain, 0), /no memory/);
  const nowhere = new Virtqueue(ram, { size: 128, addresses: { ...addresses, available: 2 ** 40 }, mostBytes: 1 });
  await assert.rejects(nowhere.take(), (error) => error instanceof ExhumeError && error.code === 'EXH_DEVICE_MEMORY');
});

test('whatever stands in the ring, a request stays within its bounds or is refused', async () => {
  const random = new Random(22);
  const mostBytes = 0x4000;
  let handed = 0;
  let refused = 0;
  for (let round = 0; round < 20_000; round++) {
    const size = random.pick([2, 8, 128]);
    const { ram, driver, queue } = setup(size, mostBytes);
    const parts = 1 + random.below(4);
    const all = Array.from({ length: parts }, () => part(random.below(0x1000), 1 + random.below(0x800)));
    const split = random.below(parts + 1);
    driver.submit(all.slice(0, split), all.slice(split), random.below(size));
    if (random.below(4) > 0) random.mutate(ram.bytes.subarray(0x1000, 0x1000 + 26 * size + 8), 12);
    try {
      for (let taken = 0; taken < size + 1; taken++) {
        const chain = await queue.take();
        if (chain === undefined) break;
        assert.ok(taken < size, 'more requests than descriptors');
        const parts = [...chain.readable, ...chain.writable];
        assert.ok(parts.length >= 1 && parts.length <= size && chain.head < size);
        assert.ok(parts.reduce((sum, { length }) => sum + length, 0) <= mostBytes);
        assert.ok(parts.every(({ address, length }) => length > 0 && Number.isSafeInteger(address + length)));
        handed++;
      }
    } catch (error) {
      assert.ok(error instanceof ExhumeError && error.code === 'EXH_DEVICE_RING', String(error));
      refused++;
    }
  }
  assert.ok(handed > 4000 && refused > 4000, `${handed} handed out, ${refused} refused`);
});
