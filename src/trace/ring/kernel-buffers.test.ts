import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Damage } from '../../bytes/errors.js';
import { damagedView } from '../../testing/damaged-view.js';
import { fill, ringOf } from '../../testing/kernel-rings.js';
import { Random } from '../../testing/random.js';
import { RecordWriter } from '../../testing/sub-buffers.js';
import { readEvents } from './events.js';
import { type KernelBuffer, readKernelBuffers } from './kernel-buffers.js';

function page(time: bigint, ...types: readonly number[]): RecordWriter {
  const writer = new RecordWriter(time);
  types.forEach((type, index) => {
    writer.event(time + BigInt(index), type, 7);
  });
  return writer;
}

function types(buffer: KernelBuffer | undefined): number[] {
  return buffer === undefined ? [] : Array.from(readEvents(buffer), ({ type }) => type);
}

test('the top level buffer tells what the tracefs of its kernel would', () => {
  const damage: Damage[] = [];
  const [top, ...others] = readKernelBuffers(damagedView().view, damage);
  assert.deepEqual(damage, []);
  assert.equal(others.length, 0);
  assert.ok(top);
  const { instance, snapshot, persistent, tracer, clock, recording } = top;
  assert.deepEqual(
    { instance, snapshot, persistent, tracer, clock, recording },
    { instance: undefined, snapshot: false, persistent: false, tracer: 'nop', clock: 'local', recording: true },
  );
  assert.deepEqual(
    [...(top.options ?? [])].join(' '),
    'print-parent trace_printk annotate context-info record-cmd overwrite irq-info markers trace_printk_dest copy_trace_marker hash-ptr function-trace',
  );
  assert.deepEqual(
    top.cpus.map(({ cpu, statistics }) => [cpu, statistics?.entries]),
    [
      [0, 0],
      [1, 0],
    ],
  );
  assert.deepEqual(types(top), []);
});

test('events come from the page being read, without what was read, then from the ring up to what was committed', () => {
  const damaged = damagedView();
  const { ring, reader, pages } = ringOf(damaged);
  assert.ok(pages.length >= 2);
  const [head, next] = pages;
  assert.ok(head && next);
  const first = page(1000n, 1, 2, 3);
  fill(damaged, reader, first.done({ consumed: 24 }));
  fill(damaged, head, page(2000n, 4, 5).done());
  fill(damaged, next, page(3000n, 6, 7).done());
  // Written behind what is committed: not an event yet.
  damaged.write(next.pointer('page') + 8n, 12n);
  damaged.set(ring, 'commit_page', next.address);
  const damage: Damage[] = [];
  const [top] = readKernelBuffers(damaged.view, damage);
  assert.deepEqual(types(top), [3, 4, 5, 6]);
  assert.deepEqual(damage, []);
  assert.deepEqual(top?.damage, []);
});

test('the writer may be on the page that is being read', () => {
  const damaged = damagedView();
  const { ring, reader, pages } = ringOf(damaged);
  fill(damaged, reader, page(1000n, 1, 2).done());
  for (const one of pages) fill(damaged, one, page(500n, 9).done());
  damaged.set(ring, 'commit_page', reader.address);
  assert.deepEqual(types(readKernelBuffers(damaged.view, [])[0]), [1, 2]);
});

test('the head is where the link is marked, though head_page is older', () => {
  const damaged = damagedView();
  const { ring, pages } = ringOf(damaged);
  const [head, next] = pages;
  assert.ok(head && next);
  fill(damaged, head, page(2000n, 1).done());
  fill(damaged, next, page(1000n, 2).done());
  const before = damaged.view.struct('buffer_page', head.pointer('list.prev') & ~3n);
  damaged.set(before, 'list.next', before.pointer('list.next') & ~3n);
  damaged.set(head, 'list.next', next.address | 1n);
  damaged.set(ring, 'commit_page', head.address);
  const walked = types(readKernelBuffers(damaged.view, [])[0]);
  assert.equal(walked[0], 2);
  assert.equal(walked.at(-1), 1);
});

test('instances come by name, each with its snapshot, clock and marks of an earlier boot', () => {
  const damaged = damagedView();
  const { view, make, set, writeBytes, write } = damaged;
  const [top] = readKernelBuffers(view, []);
  assert.ok(top);
  const list = view.address('ftrace_trace_arrays');
  const names = ['zebra', 'boot_map'];
  const arrays = names.map((name) => {
    const copy = make('trace_array');
    writeBytes(copy.address, view.memory.bytes(top.array.address, copy.type.size));
    const text = make('list_head');
    writeBytes(text.address, new TextEncoder().encode(`${name}\0`));
    set(copy, 'name', text.address);
    return copy;
  });
  const [zebra, boot] = arrays;
  assert.ok(zebra && boot);
  set(zebra, 'allocated_snapshot', 1);
  const mono = view.address('ktime_get_mono_fast_ns');
  const ring = make('trace_buffer');
  writeBytes(ring.address, view.memory.bytes(zebra.pointer('array_buffer.buffer'), ring.type.size));
  set(ring, 'clock', mono);
  set(ring, 'record_disabled.counter', 1 << 20);
  set(zebra, 'array_buffer.buffer', ring.address);
  set(zebra, 'snapshot_buffer.buffer', top.array.pointer('array_buffer.buffer'));
  set(boot, 'flags', view.types.enumerator('TRACE_ARRAY_FL_LAST_BOOT') ?? 0n);
  const nodes = [list, zebra.addressOf('list'), boot.addressOf('list'), top.array.addressOf('list'), list];
  nodes.slice(0, -1).forEach((node, index) => {
    write(node, nodes[index + 1] ?? list);
  });
  const damage: Damage[] = [];
  assert.deepEqual(
    readKernelBuffers(view, damage).map(({ instance, snapshot, persistent, clock, recording }) =>
      [instance, snapshot, persistent, clock, recording].join(' '),
    ),
    [
      ' false false local true',
      'boot_map false true local true',
      'zebra false false mono false',
      'zebra true false local true',
    ],
  );
  assert.deepEqual(damage, []);
});

test('a page that is not in the dump is told, and what follows it says that events are missing', () => {
  const damaged = damagedView();
  const { ring, reader, pages } = ringOf(damaged);
  const [head, next] = pages;
  assert.ok(head && next);
  fill(damaged, reader, page(1000n, 1).done());
  fill(damaged, head, page(2000n, 2).done());
  fill(damaged, next, page(3000n, 3).done());
  damaged.set(ring, 'commit_page', next.address);
  damaged.exclude(head.pointer('page'));
  const [top] = readKernelBuffers(damaged.view, []);
  assert.ok(top);
  assert.deepEqual(
    Array.from(readEvents(top), ({ type, lost }) => [type, lost]),
    [
      [1, 0],
      [3, -1],
    ],
  );
  assert.deepEqual(
    top.damage.map(({ code, part }) => `${code} ${part}`),
    ['EXH_PAGE_EXCLUDED trace of CPU 0'],
  );
});

test('a thousand spoiled structures: the walk ends, and says what it could not read', () => {
  const damaged = damagedView();
  const { view, writeBytes } = damaged;
  const { ring, reader, pages } = ringOf(damaged);
  const commit = pages.at(-1);
  assert.ok(commit);
  for (const one of [reader, ...pages]) fill(damaged, one, page(1000n, 1, 2, 3).done());
  damaged.set(ring, 'commit_page', commit.address);
  const [top] = readKernelBuffers(view, []);
  assert.ok(top);
  const structs = [top.array, view.struct('trace_buffer', top.array.pointer('array_buffer.buffer')), ring, reader];
  const addresses = [ring.address, reader.address, commit.address, 0n, 0xffff_ffff_ffff_ffffn, 1n, 0x8000_0000n];
  const random = new Random(7);
  let broken = 0;
  for (let round = 0; round < 1000; round++) {
    const [first = ring, ...rest] = [...structs, ...pages];
    const struct = random.pick([first, ...rest]);
    const at = struct.address + BigInt(8 * random.below(Math.floor(Math.min(struct.type.size, 512) / 8)));
    const before = view.memory.bytes(at, 8);
    const value = addresses[random.below(addresses.length)] ?? 0n;
    writeBytes(at, new Uint8Array(BigUint64Array.of(value ^ BigInt(random.below(2) * random.below(64))).buffer));
    const damage: Damage[] = [];
    let events = 0;
    for (const buffer of readKernelBuffers(view, damage)) {
      const stream = readEvents(buffer);
      for (const { start, length, bytes } of stream) {
        assert.ok(start + length <= bytes.length);
        events++;
      }
      damage.push(...buffer.damage, ...stream.damage);
    }
    if (damage.length > 0) broken++;
    assert.ok(events < 100_000);
    writeBytes(at, before);
  }
  assert.ok(broken > 50, `${broken} rounds met damage`);
});
