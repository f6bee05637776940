import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MemorySource } from '../../bytes/byte-source.js';
import { viewOf } from '../../bytes/struct-table.js';
import { decodeZstd } from '../../codecs/zstd.js';
import { PatchedMemory } from '../../testing/patched-memory.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { readEvents } from './events.js';
import { readPersistentBuffer } from './persistent.js';
import { isPersistentBuffer } from './persistent-layout.js';
import { findPersistentBuffers } from './persistent-search.js';

const FIXTURES = new URL('../../../../src/trace/ring/fixtures/', import.meta.url);
const MIB = 1 << 20;

function fixture(name: string, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  decodeZstd(readFileSync(new URL(name, FIXTURES)), bytes);
  return bytes;
}

const CURRENT = fixture('region-7.2-4M.zst', 4 * MIB);
const OLD = fixture('region-6.12-256K.zst', MIB / 4);
/** Where CPU 0's metadata and first sub-buffer lie in CURRENT. */
const META = 8240;
const FIRST = 12288;

interface Read {
  readonly events: number;
  readonly perCpu: readonly number[];
  readonly markers: readonly string[];
  readonly problems: readonly string[];
  readonly since: string;
}

function read(bytes: Uint8Array): Read | undefined {
  const buffer = readPersistentBuffer(new MemorySource(bytes));
  if (buffer === undefined) return undefined;
  const perCpu = buffer.cpus.map(() => 0);
  const markers: string[] = [];
  const stream = readEvents(buffer);
  let last = 0;
  let events = 0;
  for (const { cpu, type, time, bytes: record, start, length } of stream) {
    events++;
    perCpu[cpu] = (perCpu[cpu] ?? 0) + 1;
    assert.ok(Number.isFinite(time));
    last = Math.max(last, time);
    // TRACE_PRINT: the address that wrote it, then its text.
    const text = new TextDecoder('latin1').decode(record.subarray(start + 16, start + length));
    if (type === 5) markers.push(text.slice(0, text.indexOf('\n')));
  }
  const problems = [...buffer.damage, ...stream.damage].map(({ message }) => message);
  return { events, perCpu, markers, problems, since: buffer.layout.since };
}

function changed(bytes: Uint8Array, change: (view: DataView) => void): Uint8Array {
  const copy = bytes.slice();
  change(viewOf(copy));
  return copy;
}

test('what a kernel since 6.15 left is what the next one shows', () => {
  assert.deepEqual(read(CURRENT), {
    events: 31,
    perCpu: [19, 12],
    markers: ['hello-from-stage1', 'bye-from-stage1'],
    problems: [],
    since: '6.15',
  });
  const buffer = readPersistentBuffer(new MemorySource(CURRENT));
  assert.equal(buffer?.clock, 'local');
  assert.equal(buffer?.persistent, true);
  assert.deepEqual(buffer?.layout.text, { of: '_text', address: 0xffffffff85400000n });
});

test('what 6.12 left, with pages that were read in between, is what the next kernel showed', () => {
  assert.deepEqual(read(OLD), {
    events: 284,
    perCpu: [148, 136],
    markers: ['hello-persistent', 'after-read', 'bye'],
    problems: [],
    since: '6.12',
  });
});

test('what Debian’s 7.2 left tells also where its modules were', () => {
  const bytes = fixture('region-7.2-256K.zst', MIB / 4);
  assert.deepEqual(read(bytes)?.perCpu, [192, 331]);
  assert.deepEqual(read(bytes)?.problems, []);
  assert.deepEqual(readPersistentBuffer(new MemorySource(bytes))?.layout.modules, [
    { name: 'virtio_blk', address: 0xffffffffc0400000n },
    { name: 'qemu_fw_cfg', address: 0xffffffffc0404000n },
  ]);
});

test('other files are none', () => {
  assert.equal(isPersistentBuffer(new MemorySource(new Uint8Array(4096))), false);
  assert.equal(isPersistentBuffer(new MemorySource(CURRENT.subarray(0, 20))), false);
  assert.equal(readPersistentBuffer(new MemorySource(new Uint8Array(10))), undefined);
});

test('where a kernel would begin anew, the events are read nonetheless and it is told why', () => {
  const cases: readonly [what: string, change: (view: DataView) => void, problem: RegExp][] = [
    ['magic', (view) => view.setUint32(0, 0, true), /magic number is wrong/],
    ['total size', (view) => view.setBigUint64(8, 8n * 1024n * 1024n, true), /tells 8388608 bytes, 4194304 are there/],
    ['offset', (view) => view.setBigUint64(16, 1n << 60n, true), /first part should begin at/],
    ['head', (view) => view.setBigUint64(META + 8, 1n, true), /CPU 0: its head lies outside/],
    ['commit', (view) => view.setBigUint64(META + 16, 0n, true), /CPU 0: its last page lies outside/],
    ['sub-buffer size', (view) => view.setUint32(META + 24, 512, true), /CPU 0: sub-buffers of 512 bytes/],
    ['count', (view) => view.setUint32(META + 28, 3, true), /CPU 0: 3 sub-buffers where the others have 510/],
    ['order', (view) => view.setInt32(META + 32, 5, true), /CPU 0: its list of sub-buffers is none/],
  ];
  for (const [what, change, problem] of cases) {
    const found = read(changed(CURRENT, change));
    assert.equal(found?.events, 31, what);
    assert.match(found?.problems.join('\n') ?? '', problem, what);
  }
});

test('pages that were read before the machine went down are shown, oldest first; none twice', () => {
  // Two pages more than the one in use: the head and the last page move on, what was before is no longer in the ring.
  const moved = changed(CURRENT, (view) => {
    const first = view.getBigUint64(META, true);
    view.setBigUint64(META + 8, first + 3n * 4096n, true);
    view.setBigUint64(META + 16, first + 3n * 4096n, true);
    for (const [index, time] of [
      [2, 1n << 33n],
      [3, 1n << 34n],
    ] as const) {
      const at = FIRST + index * 4096;
      view.setBigUint64(at, time, true);
      view.setBigUint64(at + 8, 12n, true);
      view.setUint32(at + 16, 2, true);
      view.setUint32(at + 20, 7, true);
    }
  });
  const buffer = readPersistentBuffer(new MemorySource(moved));
  assert.ok(buffer);
  assert.deepEqual(Array.from(buffer.cpus[0]?.subBuffers() ?? [], ({ timestamp }) => timestamp).slice(-2), [
    1n << 33n,
    1n << 34n,
  ]);
  assert.deepEqual(read(moved)?.perCpu, [21, 12]);
});

test('a page that says too much is left out, and what follows says that events are missing', () => {
  const broken = changed(OLD, (view) => {
    const second = 4096 + 3 * 4096;
    assert.ok(view.getUint32(second + 8, true) > 0);
    view.setUint32(second + 8, 5000, true);
  });
  const found = read(broken);
  assert.ok(found && found.events < 284 && found.events > 100);
  assert.match(found.problems.join(), /sub-buffer 3 is not whole/);
});

test('a region that is cut off gives what is left of it', () => {
  const found = read(CURRENT.subarray(0, 3 * MIB));
  assert.equal(found?.perCpu[0], 19);
  assert.match(found?.problems.join() ?? '', /tells 4194304 bytes, 3145728 are there/);
});

test('both kinds are found in a machine’s memory, at the page where they begin', () => {
  const { container } = openSample();
  const [range] = container.memory.ranges();
  assert.ok(range);
  const memory = new PatchedMemory(container.memory);
  const place = (address: number, bytes: Uint8Array): void => {
    for (let at = 0; at < bytes.length; at += 4096) memory.patch((address + at) / 4096, bytes.subarray(at, at + 4096));
  };
  place(0x200_0000, OLD);
  place(0x200_0000 + OLD.length, CURRENT);
  memory.patch((0x200_0000 + OLD.length + FIRST) / 4096, 'excluded');
  const found = [...findPersistentBuffers(memory)];
  const [first, second] = found;
  assert.deepEqual([first?.address, second?.address], [0x200_0000, 0x200_0000 + OLD.length]);
  assert.ok(first && second);
  const buffer = readPersistentBuffer(first.source);
  assert.equal(buffer && [...readEvents(buffer)].length, 284);
  const filtered = readPersistentBuffer(second.source);
  assert.ok(filtered);
  assert.deepEqual([...readEvents(filtered)].length, 31);
  assert.match(filtered.damage.map(({ code }) => code).join(), /EXH_PAGE_EXCLUDED/);
});

test('a thousand spoiled regions: each is read to its end', () => {
  const random = new Random(20261121);
  let events = 0;
  for (let round = 0; round < 1000; round++) {
    const bytes = OLD.slice();
    const used = random.pick([
      [0, 200],
      [4096, 4 * 4096],
      [131072, 200],
      [135168, 4 * 4096],
    ]);
    const [start = 0, length = 200] = used;
    random.mutate(bytes.subarray(start, start + length), 12);
    events += read(bytes)?.events ?? 0;
  }
  assert.ok(events > 100 * 1000, `${events} events`);
  for (let round = 0; round < 100; round++) {
    const head = CURRENT.slice(0, 64 * 1024);
    random.mutate(head.subarray(0, 24), 6);
    random.mutate(head.subarray(META, META + 64), 6);
    read(head);
  }
});
