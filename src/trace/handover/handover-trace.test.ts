import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Handover } from '../../handover/model.js';
import { readHandover } from '../../handover/open.js';
import { handedOverTrace } from '../../handover/testing/ftrace.js';
import type { Struct } from '../../kernel/types/struct.js';
import { type DamagedView, damagedView } from '../../testing/damaged-view.js';
import { fill, ringOf } from '../../testing/kernel-rings.js';
import { Random } from '../../testing/random.js';
import { RecordWriter } from '../../testing/sub-buffers.js';
import { openKernelTrace } from '../kernel-trace.js';
import type { Trace } from '../model.js';
import { type NamedKernel, withFormatsOf } from '../open.js';
import { readEvents } from '../ring/events.js';
import { handoverTrace } from './handover-trace.js';
import { kernelFtrace } from './kernel-rings.js';

const CPUS = [0, 1];

/** Fills a page of a ring and its descriptor as the kernel does. */
function write(damaged: DamagedView, page: Struct, time: bigint, ...types: readonly number[]): void {
  const writer = new RecordWriter(time);
  types.forEach((type, index) => {
    writer.event(time + BigInt(index), type, 7, new Uint8Array(60));
  });
  fill(damaged, page, writer.done());
  damaged.set(page, 'write', writer.size);
  damaged.set(page, 'entries', types.length);
}

/** The sample with something in its rings: of each CPU a page that is just being read, and two in the ring. */
function traced(): DamagedView {
  const damaged = damagedView();
  for (const cpu of CPUS) {
    const { ring, reader, pages } = ringOf(damaged, cpu);
    const base = BigInt(1000 * (cpu + 1));
    write(damaged, reader, base, 300, 301);
    const [first, second] = pages;
    assert.ok(first && second);
    write(damaged, first, base + 100n, 302, 303, 304);
    write(damaged, second, base + 300n, 305, 306, 307);
    damaged.set(ring, 'commit_page', second.address);
  }
  return damaged;
}

function handedOver({ view }: DamagedView): { handover: Handover; trace: Trace } {
  const { tree } = handedOverTrace(kernelFtrace(view), 'v3', view.memory.physical);
  const handover = readHandover(tree, { memory: undefined, blobs: new Map() });
  return { handover, trace: handoverTrace(handover, view.memory.physical) ?? assert.fail() };
}

function events(trace: Trace): string[] {
  const [buffer] = trace.buffers;
  assert.ok(buffer);
  return Array.from(
    readEvents(buffer),
    ({ cpu, time, type, lost }) => `${cpu} ${time} ${type}${lost === 0 ? '' : '!'}`,
  );
}

function messages({ damage, buffers }: Trace): string[] {
  return [...damage, ...buffers.flatMap((buffer) => buffer.damage)].map(({ message }) => message);
}

const IN_RING = [
  '0 1100 302',
  '0 1101 303',
  '0 1102 304',
  '0 1300 305',
  '0 1301 306',
  '0 1302 307',
  '1 2100 302',
  '1 2101 303',
  '1 2102 304',
  '1 2300 305',
  '1 2301 306',
  '1 2302 307',
];

test('a kernel’s rings, handed over and read again, hold their events; those of the page being read are lost, and counted', () => {
  const damaged = traced();
  const { cpus, rings } = kernelFtrace(damaged.view);
  assert.deepEqual(
    cpus.map(({ cpu, kept, lost }) => [cpu, kept, lost]),
    [
      [0, 6, 2],
      [1, 6, 2],
    ],
  );
  for (const [cpu, ring] of rings.entries()) assert.equal(ring.pages.length, ringOf(damaged, cpu).pages.length);
  const { trace } = handedOver(damaged);
  assert.deepEqual(events(trace), IN_RING);
  assert.deepEqual(messages(trace), []);
});

test('in the words of the kernel itself: formats by fingerprint, options by the flags', () => {
  const damaged = traced();
  const own = openKernelTrace(damaged.view);
  const trace = withFormatsOf(handedOver(damaged).trace, own);
  assert.deepEqual(messages(trace), []);
  assert.equal(trace.release, own.release);
  assert.deepEqual(trace.formats.all, own.formats.all);
  assert.ok(trace.buffers[0]?.options?.has('print-parent'));
  assert.equal(trace.names.symbol(damaged.view.address('schedule'))?.symbol.name, 'schedule');
  assert.match(trace.evidence?.at(-1) ?? '', /^\d+ numbers of events, \d+ kinds found, 0 of them with another number$/);
});

test('in the words of another kernel: other numbers, kinds that it lacks, other addresses', () => {
  const damaged = traced();
  const own = openKernelTrace(damaged.view);
  const lacking = own.formats.byId(304);
  const others = own.formats.all
    .filter(({ id }) => id !== 304)
    .map((format) => ({ ...format, id: format.system === 'ftrace' ? format.id : format.id + 1000 }));
  const from: NamedKernel = {
    release: '9.9',
    names: own.names,
    formats: { ...own.formats, all: others },
    linearMap: 0xffff_9999_0000_0000n,
  };
  const trace = withFormatsOf(handedOver(damaged).trace, from);
  assert.equal(trace.release, undefined);
  assert.equal(trace.formats.byId(303)?.name, own.formats.byId(303)?.name);
  assert.equal(trace.formats.byId(304), undefined);
  assert.equal(trace.buffers[0]?.options, undefined);
  assert.equal(trace.names.symbol(damaged.view.address('schedule')), undefined);
  const told = messages(trace);
  assert.match(
    told[0] ?? '',
    /^event 0x[0-9a-f]{8} \(number 304\) is in the trace, and nothing in the formats has it$/,
  );
  assert.match(told[1] ?? '', /numbers its events from 21 on, that of the formats from 1021/);
  assert.match(told[2] ?? '', /another boot/);
  assert.ok(lacking !== undefined && told.length === 3);
});

test('of an image nothing tells where its kernel ran: addresses have no names; of a copy of tracefs they are taken as they are', () => {
  const damaged = traced();
  const { formats, names, release } = openKernelTrace(damaged.view);
  const address = damaged.view.address('schedule');
  const image = withFormatsOf(handedOver(damaged).trace, { formats, names, release, kaslrOffset: 0n });
  assert.equal(image.names.symbol(address), undefined);
  assert.match(messages(image)[0] ?? '', /another boot/);
  const copy = withFormatsOf(handedOver(damaged).trace, { formats, names, release });
  assert.equal(copy.names.symbol(address)?.symbol.name, 'schedule');
  assert.match(copy.evidence?.at(-1) ?? '', /addresses are taken as they are$/);
});

test('the ring is read from its head, wherever the list begins', () => {
  const damaged = traced();
  const { ring, pages } = ringOf(damaged);
  damaged.set(ring, 'pages', pages[1]?.addressOf('list') ?? 0n);
  const { trace } = handedOver(damaged);
  assert.deepEqual(events(trace), IN_RING);
  assert.deepEqual(messages(trace), []);
});

test('where no head is marked, or another than the times tell, the pages are put in order by their times', () => {
  for (const [flag, why] of [
    [0n, 'no page is marked as the head: its pages are put in order by their times'],
    [1n, 'the times of its pages do not rise from the head that is marked: its pages are put in order by their times'],
  ] as const) {
    const damaged = traced();
    const { ring, pages } = ringOf(damaged);
    const [first, second] = pages;
    assert.ok(first && second);
    const { handover } = handedOver(damaged);
    const before = damaged.view.struct('buffer_page', first.pointer('list.prev') & ~3n);
    damaged.set(before, 'list.next', first.address);
    damaged.set(first, 'list.next', second.address | flag);
    damaged.set(ring, 'pages', second.address);
    const trace = handoverTrace(handover, damaged.view.memory.physical) ?? assert.fail();
    assert.deepEqual(events(trace), IN_RING);
    assert.deepEqual(messages(trace), [why]);
  }
});

test('a page tells itself how much it holds; what its descriptor says else is told', () => {
  const damaged = traced();
  const { pages } = ringOf(damaged);
  const [first, second] = pages;
  assert.ok(first && second);
  damaged.set(first, 'write', 8);
  for (const member of ['write', 'entries']) damaged.set(second, member, 0);
  const { handover } = handedOver(traced());
  const trace = handoverTrace(handover, damaged.view.memory.physical) ?? assert.fail();
  assert.deepEqual(events(trace), IN_RING);
  const told = messages(trace);
  assert.match(told[0] ?? '', /^the page at 0x[0-9a-f]+ holds \d+ bytes, and is described as holding 8$/);
  assert.match(told[1] ?? '', /^the next kernel drops the page at 0x[0-9a-f]+: it is described as empty$/);
  assert.equal(told.length, 2);
});

test('descriptors that the next kernel gave back tell nothing: their pages are read whole', () => {
  const damaged = traced();
  const [, second] = ringOf(damaged).pages;
  assert.ok(second);
  damaged.set(second, 'page', second.pointer('page') + 4096n);
  damaged.set(second, 'read', 4080);
  const { handover } = handedOver(traced());
  const trace = handoverTrace(handover, damaged.view.memory.physical) ?? assert.fail();
  assert.deepEqual(events(trace), IN_RING);
  assert.deepEqual(messages(trace), [
    'the descriptors of 1 of its 2 pages were overwritten',
    // The mark was in that one.
    'no page is marked as the head: its pages are put in order by their times',
  ]);
});

test('pages and descriptors that are not in the dump are told, and the rest is read', () => {
  const damaged = traced();
  const { handover } = handedOver(damaged);
  const [first] = ringOf(damaged).pages;
  damaged.exclude(first?.pointer('page') ?? 0n);
  const trace = handoverTrace(handover, damaged.view.memory.physical) ?? assert.fail();
  assert.deepEqual(
    events(trace),
    IN_RING.slice(3).map((event) => (event === '0 1300 305' ? `${event}!` : event)),
  );
  assert.match(messages(trace)[0] ?? '', /was filtered out/);
  const without = traced();
  const { handover: other } = handedOver(without);
  without.exclude(first?.address ?? 0n);
  const read = handoverTrace(other, without.view.memory.physical) ?? assert.fail();
  assert.deepEqual([...events(read)].sort(), [...IN_RING].sort());
  assert.match(messages(read)[0] ?? '', /was filtered out/);
});

test('a damaged handover is read to an end', () => {
  const random = new Random(8);
  const damaged = traced();
  const { physical } = damaged.view.memory;
  const { tree: blob } = handedOverTrace(kernelFtrace(damaged.view), 'v3', physical);
  const own = openKernelTrace(damaged.view);
  const [first] = ringOf(damaged).pages;
  assert.ok(first);
  const data = first.pointer('page');
  for (let round = 0; round < 150; round++) {
    const changed = blob.slice();
    const name = random.below(changed.length - 64);
    random.mutate(changed.subarray(name, name + 64));
    const page = new Uint8Array(64);
    random.mutate(page);
    damaged.writeBytes(first.address + BigInt(8 * random.below(8)), page.subarray(0, 8));
    damaged.writeBytes(data, page.subarray(0, 24));
    try {
      const handover = readHandover(changed, { memory: undefined, blobs: new Map() });
      const trace = handoverTrace(handover, physical);
      if (trace === undefined) continue;
      const told = withFormatsOf(trace, own);
      for (const buffer of told.buffers) {
        let count = 0;
        for (const _ of readEvents(buffer)) count++;
        assert.ok(count < 100_000);
      }
    } catch (error) {
      assert.match(String((error as { code?: string }).code), /^EXH_/);
    }
  }
});
