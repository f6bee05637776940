import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VirtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { type LogFixture, logFixture } from '../../testing/log-fixture.js';
import { Random } from '../../testing/random.js';
import { readKernelLog } from './read.js';
import type { KernelLog } from './record.js';

const COMMITTED = 1n << 62n;
const FINALIZED = 2n << 62n;
const ID = (1n << 62n) - 1n;
const VALUES = [0n, 1n, 0x7fffffffn, 0x80000000n, 0xffffffffn, ID, COMMITTED, FINALIZED, 2n ** 64n - 1n] as const;

/** A ring as it lies in memory, to be changed member by member. */
class Ring {
  readonly fixture: LogFixture;
  readonly address: VirtualAddress;
  readonly count: number;

  constructor(name = 'linux-7.2-panic') {
    this.fixture = logFixture(name);
    this.address = this.memory.pointer(this.fixture.vmcoreinfo.symbol('prb') ?? 0n);
    this.count = 2 ** this.memory.u32(this.address);
  }

  get memory() {
    return this.fixture.memory;
  }

  /** A member's offset. */
  offset(struct: string, member: string): bigint {
    const offset = this.fixture.vmcoreinfo.offset(struct, member);
    assert.ok(offset !== undefined);
    return BigInt(offset);
  }

  ring(member: string): bigint {
    return this.address + this.offset('prb_desc_ring', member);
  }

  text(member: string): bigint {
    return this.address + this.offset('printk_ringbuffer', 'text_data_ring') + this.offset('prb_data_ring', member);
  }

  desc(index: number): bigint {
    return this.memory.pointer(this.ring('descs')) + BigInt(index * 24);
  }

  info(index: number): bigint {
    const size = this.fixture.vmcoreinfo.size('printk_info');
    assert.ok(size !== undefined);
    return this.memory.pointer(this.ring('infos')) + BigInt(index * size);
  }

  /** Where a record's block begins: its id, then its text. */
  block(index: number): bigint {
    const begin = this.memory.u64(this.desc(index) + 8n);
    return this.memory.pointer(this.text('data')) + (begin % (1n << BigInt(this.memory.u32(this.text('size_bits')))));
  }

  put64(address: bigint, value: bigint): void {
    const bytes = new Uint8Array(8);
    viewOf(bytes).setBigUint64(0, BigInt.asUintN(64, value), true);
    this.memory.write(address, bytes);
  }

  put32(address: bigint, value: number): void {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, value, true);
    this.memory.write(address, bytes);
  }

  put16(address: bigint, value: number): void {
    this.memory.write(address, Uint8Array.of(value & 255, value >> 8));
  }

  read(): KernelLog {
    return readKernelLog(this.fixture.source);
  }
}

const WHOLE = new Ring().read();
const LAST = WHOLE.records.length - 1;

test('a message that was being written is pending, and not in the log', () => {
  const ring = new Ring();
  const state = ring.memory.u64(ring.desc(LAST));
  ring.put64(ring.desc(LAST), state & ID);
  const log = ring.read();
  assert.deepEqual(log.damage, []);
  assert.deepEqual(log.records, WHOLE.records.slice(0, -1));
  assert.equal(log.pending.length, 1);
  const [pending] = log.pending;
  assert.equal(pending?.text, WHOLE.records[LAST]?.text);
  assert.equal(pending?.after, LAST);
  assert.equal(pending?.sequence, LAST);
});

test('a pending message whose info is still empty shows the text, without the level that stands before it', () => {
  const ring = new Ring();
  const index = 100;
  ring.put64(ring.desc(index), ring.memory.u64(ring.desc(index)) & ID);
  ring.put16(ring.info(index) + 16n, 0);
  ring.memory.write(ring.block(index) + 8n, Buffer.from('\x016half a mess\0'));
  const log = ring.read();
  assert.equal(log.pending[0]?.text, 'half a mess');
  assert.equal(log.pending[0]?.after, index);
  assert.deepEqual(log.lost.gaps, []);
  assert.deepEqual(log.damage, []);
});

test('a reserved record shows nothing before its block is marked as its own, nor what is no text', () => {
  const ring = new Ring();
  ring.put64(ring.desc(50), ring.memory.u64(ring.desc(50)) & ID);
  ring.put64(ring.block(50), 0n);
  ring.put64(ring.desc(60), ring.memory.u64(ring.desc(60)) & ID);
  ring.memory.write(ring.block(60) + 8n, Uint8Array.of(0x80, 0x81, 2, 3));
  const log = ring.read();
  assert.deepEqual(log.pending, []);
  assert.equal(log.records.length, WHOLE.records.length - 2);
  assert.deepEqual(log.lost.gaps, [
    { after: 49, count: 1 },
    { after: 59, count: 1 },
  ]);
});

test('a head that has moved on while its descriptor has not is no damage', () => {
  const ring = new Ring();
  const head = ring.memory.u64(ring.ring('head_id'));
  ring.put64(ring.ring('head_id'), (head + 1n) & ID);
  const next = Number((head + 1n) % BigInt(ring.count));
  ring.put64(ring.desc(next), ((head + 1n - BigInt(ring.count)) & ID) | (3n << 62n));
  const log = ring.read();
  assert.deepEqual(log.records, WHOLE.records);
  assert.deepEqual(log.damage, []);
});

test('a committed record, which may still grow, is in the log', () => {
  const ring = new Ring();
  ring.put64(ring.desc(LAST), (ring.memory.u64(ring.desc(LAST)) & ID) | COMMITTED);
  assert.deepEqual(ring.read().records, WHOLE.records);
});

test('a record without a block is an empty line, or lost for want of room', () => {
  const ring = new Ring();
  for (const [index, lpos] of [
    [10, 3n],
    [20, 1n],
  ] as const) {
    ring.put64(ring.desc(index) + 8n, lpos);
    ring.put64(ring.desc(index) + 16n, lpos);
  }
  const log = ring.read();
  assert.equal(log.records[10]?.text, '');
  assert.deepEqual(log.lost.gaps, [{ after: 19, count: 1 }]);
  assert.deepEqual(log.damage, []);
});

test('what cannot be is damage, and the rest of the log stays', () => {
  const cases: readonly [name: string, change: (ring: Ring) => void, message: RegExp, lost: number][] = [
    ['a block of another record', (ring) => ring.put64(ring.block(30), 0n), /overwritten by another record/, 0],
    ['a text longer than its block', (ring) => ring.put16(ring.info(30) + 16n, 65535), /cut off/, 0],
    [
      'a block of no length',
      (ring) => ring.put64(ring.desc(30) + 16n, ring.memory.u64(ring.desc(30) + 8n)),
      /nonsense/,
      1,
    ],
    ['a block longer than the ring', (ring) => ring.put64(ring.desc(30) + 16n, 1n << 40n), /nonsense/, 1],
    ['a block out of line', (ring) => ring.put64(ring.desc(30) + 8n, 4n), /nonsense/, 1],
    ['another id', (ring) => ring.put64(ring.desc(30), 77n | FINALIZED), /another id/, 1],
    ['another sequence number', (ring) => ring.put64(ring.info(30), 9999n), /does not go with its id/, 0],
    ['an absurd sequence number', (ring) => ring.put64(ring.info(30), 2n ** 64n - 1n), /does not go with its id/, 0],
  ];
  for (const [name, change, message, lost] of cases) {
    const ring = new Ring();
    change(ring);
    const log = ring.read();
    assert.equal(log.damage.length, 1, name);
    assert.match(log.damage[0]?.message ?? '', message, name);
    assert.equal(log.records.length, WHOLE.records.length - lost, name);
    assert.deepEqual(
      log.records.map(({ sequence }) => sequence).filter((sequence) => sequence !== 30),
      WHOLE.records.map(({ sequence }) => sequence).filter((sequence) => sequence !== 30),
      name,
    );
  }
});

test('a ring that has lost its head or tail is swept, and gives the same records', () => {
  for (const member of ['head_id', 'tail_id']) {
    const ring = new Ring('linux-7.2-wrapped');
    const whole = ring.read();
    ring.put64(ring.ring(member), 0x1234567890n);
    const log = ring.read();
    assert.equal(log.damage.length, 1);
    assert.match(log.damage[0]?.message ?? '', /lost its ends/);
    assert.deepEqual(log.records, whole.records);
  }
});

test('pages that are not in the dump take their records with them, and no others', () => {
  for (const [what, address] of [
    ['infos', (ring: Ring) => ring.info(0)],
    ['descriptors', (ring: Ring) => ring.desc(0)],
    ['text', (ring: Ring) => ring.block(0)],
  ] as const) {
    const ring = new Ring();
    ring.memory.exclude(address(ring) + 4096n);
    const log = ring.read();
    assert.ok(log.records.length < WHOLE.records.length, what);
    assert.ok(log.records.length > WHOLE.records.length / 3, what);
    const damage = log.damage.find(({ message }) => message.startsWith(what));
    assert.equal(damage?.code, 'EXH_PAGE_EXCLUDED', what);
    const kept = new Map(WHOLE.records.map((record) => [record.sequence, record]));
    for (const record of log.records) assert.deepEqual(record, kept.get(record.sequence));
    const gone = log.lost.gaps.reduce((sum, gap) => sum + gap.count, log.lost.atStart ?? 0);
    assert.ok(gone > 0 && gone <= WHOLE.records.length - log.records.length, what);
  }
});

test('a ring of impossible size is refused', () => {
  for (const bits of [0, 25, 64, 0xffffffff]) {
    const ring = new Ring();
    ring.put32(ring.ring('count_bits'), bits);
    assert.throws(
      () => ring.read(),
      (error) => isExhumeError(error, 'EXH_BAD_STRUCTURE'),
    );
  }
  for (const bits of [0, 3, 32, 0xffffffff]) {
    const ring = new Ring();
    ring.put32(ring.text('size_bits'), bits);
    assert.throws(
      () => ring.read(),
      (error) => isExhumeError(error, 'EXH_BAD_STRUCTURE'),
    );
  }
});

test('without any layout the one that fits is taken, and none that does not', () => {
  for (const name of ['linux-5.10-panic', 'linux-6.1-panic', 'linux-7.2-panic', 'linux-7.2-wrapped']) {
    const { source, memory, vmcoreinfo } = logFixture(name);
    const blind = {
      ...source,
      vmcoreinfo: undefined,
      symbols: { address: () => vmcoreinfo.symbol('prb') as VirtualAddress, findAll: () => [] },
      layouts: { ...source.layouts, offset: () => undefined, size: () => undefined },
    };
    assert.deepEqual(readKernelLog(blind).records, readKernelLog(source).records, name);
    const prb = memory.pointer(vmcoreinfo.symbol('prb') ?? 0n);
    memory.write(prb + 8n, new Uint8Array(8));
    assert.throws(
      () => readKernelLog(blind),
      (error) => isExhumeError(error, 'EXH_NO_LAYOUT'),
      name,
    );
  }
});

test('members outside of their structure are refused, not read from the neighbour', () => {
  const { source } = logFixture('linux-7.2-panic');
  for (const [struct, member, offset] of [
    ['printk_info', 'ts_nsec', 108],
    ['printk_info', 'dev_info', 100],
    ['prb_desc', 'text_blk_lpos', 20],
  ] as const) {
    const layouts = {
      ...source.layouts,
      offset: (s: string, m: string) => (s === struct && m === member ? offset : source.layouts.offset(s, m)),
    };
    assert.throws(
      () => readKernelLog({ ...source, layouts }),
      (error) => isExhumeError(error, 'EXH_BAD_STRUCTURE'),
    );
  }
});

test('no symbol, no log', () => {
  const { source } = logFixture('linux-7.2-panic');
  assert.throws(
    () => readKernelLog({ ...source, vmcoreinfo: undefined }),
    (error) => isExhumeError(error, 'EXH_NO_SYMBOL'),
  );
});

test('fuzz: any ring gives records and damage, or an error of ours, soon', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Random(seed);
    const name = random.pick(['linux-6.1-panic', 'linux-7.2-panic', 'linux-7.2-wrapped']);
    const ring = new Ring(name);
    const whole = new Ring(name);
    for (let left = 1 + random.below(6); left > 0; left--) mutate(ring, whole, random);
    const started = performance.now();
    try {
      const log = ring.read();
      // Each record needs a descriptor that is in memory.
      assert.ok(log.records.length <= whole.count * 8);
      for (const { sequence, level } of log.records) {
        assert.ok(sequence === undefined || (Number.isSafeInteger(sequence) && sequence >= 0));
        assert.ok(level >= 0 && level <= 7);
      }
      for (const { count } of log.lost.gaps) assert.ok(count > 0);
      for (const { after } of log.pending) assert.ok(after >= 0 && after <= log.records.length);
    } catch (error) {
      if (!isExhumeError(error)) throw error;
    }
    assert.ok(performance.now() - started < 20_000, `seed ${seed} took too long`);
  }
});

/** @param whole the same ring unharmed: where things were */
function mutate(ring: Ring, whole: Ring, random: Random): void {
  const index = random.below(whole.count);
  switch (random.below(7)) {
    case 0:
      ring.put64(whole.address + BigInt(random.below(11) * 8), random.pick(VALUES));
      break;
    case 1:
      ring.put32(random.pick([whole.ring('count_bits'), whole.text('size_bits')]), random.below(40));
      break;
    case 2:
      ring.put64(whole.desc(index) + BigInt(random.below(3) * 8), random.pick(VALUES));
      break;
    case 3:
      ring.put64(whole.info(index) + BigInt(random.below(3) * 8), random.pick(VALUES));
      break;
    case 4:
      ring.memory.exclude(random.pick([whole.desc(index), whole.info(index), whole.block(0) + BigInt(index * 32)]));
      break;
    default: {
      // A page's worth of anything, anywhere in the ring's own memory.
      const segment = whole.fixture.segments[1 + random.below(4)];
      if (segment === undefined) break;
      const bytes = new Uint8Array(1 + random.below(Math.min(segment.size, 4096)));
      for (let i = 0; i < bytes.length; i++) bytes[i] = random.below(256);
      const room = segment.size - bytes.length;
      ring.memory.write(segment.address + BigInt(room > 0 ? random.below(room) : 0), bytes);
    }
  }
}
