import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import { Random } from '../../testing/random.js';
import { type NewNode, writeFdt } from '../fdt/fdt-write.js';
import { readHandover } from '../open.js';
import { BareMachine, handedOverTrace } from '../testing/ftrace.js';
import type { FtraceState } from './describe.js';
import { eventFingerprint, eventNumbers, matchEvents } from './fingerprint.js';
import { ftraceNodes } from './nodes.js';

const PAGE = 4096;

const EVENTS = [
  { id: 1, name: 'function', sizes: [8, 8], fixed: true },
  { id: 20, name: 'initcall_level', sizes: [4] },
  { id: 256, name: 'sched_switch', sizes: [16, 4, 4, 8, 16, 4, 4] },
  { id: 257, name: 'sched_waking', sizes: [16, 4, 4, 4] },
];

const STATE: FtraceState = {
  flags: Uint8Array.of(0x01, 0x46, 0x35, 0x03),
  rings: [0, 17].map((cpu) => ({
    cpu,
    pages: [0, 1, 2].map((index) => ({
      descriptor: { address: 0x1000000 + cpu * PAGE + index * 64, size: 56 },
      page: { address: 0x2000000 + (cpu * 3 + index) * PAGE, size: PAGE },
    })),
  })),
  events: EVENTS,
  firstDynamic: 20,
};

function nodesOf(blob: Uint8Array) {
  const nodes = ftraceNodes(readHandover(blob, { memory: undefined, blobs: new Map() }));
  assert.ok(nodes);
  return nodes;
}

test('a fingerprint is the CRC of the name and of the sizes from the last field on, not inverted at the end', () => {
  const bytes = Buffer.alloc(12 + 7 * 4, 'sched_switch');
  [4, 4, 16, 8, 4, 4, 16].forEach((size, index) => {
    bytes.writeUInt32LE(size, 12 + 4 * index);
  });
  const expected = (crc32(bytes) ^ 0xffffffff) >>> 0;
  assert.equal(eventFingerprint({ name: 'sched_switch', sizes: [16, 4, 4, 8, 16, 4, 4] }), expected);
  assert.notEqual(eventFingerprint({ name: 'sched_switch', sizes: [4, 4, 16, 8, 4, 4, 16] }), expected);
});

/** Out of `/sys/kernel/kho/dt` of a 6.1 with version 3 of the series, and `format` files of the same boot. */
const REAL = [
  { id: 273, name: 'sched_switch', sizes: [16, 4, 4, 8, 16, 4, 4] },
  { id: 456, name: 'kmalloc', sizes: [8, 8, 8, 8, 8, 4] },
  { id: 111, name: 'irq_handler_entry', sizes: [4, 4] },
  { id: 303, name: 'sys_enter', sizes: [8, 48] },
];

test('a real kernel of the series wrote these fingerprints, and these pages', () => {
  const blob = Uint8Array.from(
    readFileSync(fileURLToPath(new URL('../../../../src/handover/fixtures/series-2023-dt.dtb', import.meta.url))),
  );
  const { arrays, events = [], damage, version } = nodesOf(blob);
  assert.deepEqual([damage, version, events.length], [[], 'v3', 943]);
  const match = matchEvents(events, REAL);
  assert.deepEqual(
    [...match.known].map(([id, { name }]) => [id, name]).sort(),
    REAL.map(({ id, name }) => [id, name]).sort(),
  );
  assert.deepEqual([match.moved, match.ambiguous], [0, []]);
  assert.deepEqual(
    events.slice(0, 3).map(({ fingerprint, id }) => [fingerprint, id]),
    [1, 2, 3].map((id) => [id, id]),
  );
  assert.equal(arrays[0]?.flags, 0x19aa301n);
  for (const { pages } of arrays[0]?.cpus ?? []) {
    assert.equal(pages.length, 51);
    assert.ok(pages.every(({ descriptor, page }) => descriptor?.size === 56 && page?.size === PAGE));
  }
});

for (const version of ['v2', 'v3'] as const) {
  test(`what is written as version ${version} is read as it was`, () => {
    const { tree, address, scratch, image, blocks } = handedOverTrace(STATE, version);
    const { arrays, events, damage, version: told } = nodesOf(tree);
    assert.deepEqual(damage, []);
    assert.equal(told, version);
    assert.equal(arrays[0]?.name, version === 'v2' ? 'global_trace' : 'global-trace');
    assert.equal(arrays[0]?.flags, 0x3354601n);
    assert.deepEqual(
      arrays[0]?.cpus.map(({ cpu, pages }) => ({ cpu, pages })),
      STATE.rings,
    );
    assert.deepEqual(
      arrays[0]?.cpus.map(({ path }) => path.split('/').at(-1)),
      ['cpu0', 'cpu11'],
    );
    assert.deepEqual(events, eventNumbers(EVENTS, 20));
    const [area] = scratch;
    assert.ok(area && address >= area.address && address + tree.length <= area.address + area.size);
    for (const { address: at, size } of blocks) {
      assert.ok(at + size <= area.address || at >= area.address + area.size);
      // The dump has none of the machine's pages.
      assert.equal(image.state((at / PAGE) as Parameters<typeof image.state>[0]), 'excluded');
    }
  });
}

test('the memory that is named is handed over as the dump has it, and none beside it', () => {
  const memory = new BareMachine();
  for (const { pages } of STATE.rings) {
    for (const { descriptor, page } of pages) {
      memory.at(page.address / PAGE).fill(page.address / PAGE);
      memory.at(Math.floor(descriptor.address / PAGE)).fill(7);
    }
  }
  const { image } = handedOverTrace(STATE, 'v3', memory);
  assert.deepEqual(image.bytes(0x2001000, 2), Uint8Array.of(1, 1));
  assert.deepEqual(image.bytes(0x1000036, 4), Uint8Array.of(7, 7, 0, 0));
});

test('an instance is handed over under its name', () => {
  assert.equal(nodesOf(handedOverTrace({ ...STATE, instance: 'boot_map' }).tree).arrays[0]?.name, 'boot_map');
});

test('a machine without room for scratch memory is told so', () => {
  assert.throws(() => handedOverTrace(STATE, 'v3', new BareMachine(0x180000)), { code: 'EXH_NO_SPACE' });
});

test('events of another kernel are found by their fingerprints, whatever their numbers', () => {
  const numbers = eventNumbers(EVENTS, 20);
  const others = EVENTS.filter(({ name }) => name !== 'sched_waking').map((event) => ({
    ...event,
    id: event.id < 20 ? event.id : event.id + 100,
  }));
  const { known, moved, unmatched, ambiguous } = matchEvents(numbers, others);
  assert.deepEqual(
    [...known].map(([id, { name }]) => [id, name]),
    [
      [1, 'function'],
      [20, 'initcall_level'],
      [256, 'sched_switch'],
    ],
  );
  assert.equal(moved, 2);
  // A number that is fixed in one kernel, and in the other one that of any event.
  assert.equal(matchEvents(numbers, [{ id: 2, name: 'other', sizes: [] }]).known.size, 0);
  assert.deepEqual(unmatched, [
    { fingerprint: eventFingerprint(EVENTS[3] ?? assert.fail()), name: undefined, id: 257 },
  ]);
  assert.deepEqual(ambiguous, []);
});

test('of several with one fingerprint that counts which has the same number, or their order; all are told', () => {
  const twin = (id: number) => ({ id, name: 'open', sizes: [4] });
  const numbers = eventNumbers([twin(30), twin(31)], 1);
  const same = matchEvents(numbers, [twin(31), twin(30)]);
  assert.deepEqual(
    [...same.known].map(([id, shape]) => [id, shape.id]),
    [
      [30, 30],
      [31, 31],
    ],
  );
  assert.equal(same.ambiguous.length, 2);
  const elsewhere = matchEvents(numbers, [twin(41), twin(40)]);
  assert.deepEqual(
    [...elsewhere.known].map(([id, shape]) => [id, shape.id]),
    [
      [30, 40],
      [31, 41],
    ],
  );
  const more = matchEvents(numbers, [twin(31), twin(40), twin(41)]);
  assert.deepEqual(
    [...more.known].map(([id, shape]) => [id, shape.id]),
    [[31, 31]],
  );
  assert.deepEqual(
    more.ambiguous.map(({ number, candidates }) => [number.id, candidates.length]),
    [
      [30, 3],
      [31, 3],
    ],
  );
});

/** As the first version of the series writes it. */
function firstVersion(): Uint8Array {
  const property = (name: string, ...words: number[]) => ({
    name,
    value: new Uint8Array(Uint32Array.from(words).buffer),
  });
  const compatible = (value: string) => ({ name: 'compatible', value: new TextEncoder().encode(`${value}\0`) });
  const cpu: NewNode = {
    name: 'cpu1',
    properties: [
      compatible('ftrace,cpu-v1'),
      property('cpu', 1),
      property('mem', 0x5000, 0, 56, 0, 0x8000, 0, PAGE, 0),
    ],
    children: [],
  };
  const children: NewNode[] = [
    {
      name: 'global_trace',
      properties: [compatible('ftrace,array-v1'), property('trace_flags', 7)],
      children: [{ name: 'buffer', properties: [compatible('ftrace,buffer-v1')], children: [cpu] }],
    },
    {
      name: 'events',
      properties: [compatible('ftrace,events-v1'), property('fn', 1), property('sched_switch', 256)],
      children: [],
    },
  ];
  const ftrace = { name: 'ftrace', properties: [compatible('ftrace-v1')], children };
  return writeFdt({ root: { name: '', properties: [compatible('kho-v1')], children: [ftrace] } });
}

test('version 1 has a level more, and the events by name', () => {
  const { arrays, events, version, damage } = nodesOf(firstVersion());
  assert.deepEqual(damage, []);
  assert.equal(version, 'v1');
  assert.deepEqual(arrays[0]?.cpus[0], {
    cpu: 1,
    path: '/ftrace/global_trace/buffer/cpu1',
    pages: [{ descriptor: { address: 0x5000, size: 56 }, page: { address: 0x8000, size: PAGE } }],
  });
  const { known, unmatched } = matchEvents(events ?? [], EVENTS);
  assert.deepEqual(
    [...known].map(([id, { name }]) => [id, name]),
    [
      [1, 'function'],
      [256, 'sched_switch'],
    ],
  );
  assert.deepEqual(unmatched, []);
});

test('lists that are not whole, second nodes of a CPU, and trees without numbers are told', () => {
  const property = (name: string, size: number) => ({ name, value: new Uint8Array(size) });
  const cpu = (name: string, size: number): NewNode => ({ name, properties: [property('mem', size)], children: [] });
  const array = { name: 'global-trace', properties: [], children: [cpu('cpu0', 52), cpu('cpu1', 48), cpu('cpu1', 32)] };
  const ftrace: NewNode = { name: 'ftrace', properties: [], children: [array] };
  const root = { name: '', properties: [{ name: 'compatible', value: new TextEncoder().encode('kho-v1\0') }] };
  const { damage, arrays } = nodesOf(writeFdt({ root: { ...root, children: [ftrace] } }));
  assert.deepEqual(
    damage.map(({ message }) => message),
    [
      '/ftrace/global-trace/cpu0: mem of 52 bytes is no multiple of 16',
      '/ftrace/global-trace/cpu0: 3 entries: each page has two, the last one has no page',
      '/ftrace/global-trace/cpu1: 3 entries: each page has two, the last one has no page',
      '/ftrace/global-trace/cpu1 is the second node of CPU 1',
      'nothing tells the numbers of the events',
    ],
  );
  assert.equal(arrays[0]?.cpus.length, 2);
});

test('a hostile tree of ftrace is read to an end', () => {
  const random = new Random(31);
  for (const blob of [handedOverTrace(STATE).tree, firstVersion()]) {
    for (let round = 0; round < 200; round++) {
      const changed = blob.slice();
      random.mutate(changed.subarray(40));
      let nodes: ReturnType<typeof ftraceNodes>;
      try {
        nodes = ftraceNodes(readHandover(changed, { memory: undefined, blobs: new Map() }));
      } catch (error) {
        assert.match(String((error as { code?: string }).code), /^EXH_/);
        continue;
      }
      const pages = nodes?.arrays.flatMap(({ cpus }) => cpus.flatMap((cpu) => cpu.pages)) ?? [];
      assert.ok(pages.length <= changed.length / 32);
      assert.ok(matchEvents(nodes?.events ?? [], EVENTS).known.size <= EVENTS.length);
    }
  }
});
