import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SparseMemory } from '../../dump/testing/sparse-memory.js';
import { Random } from '../../testing/random.js';
import type { NewNode } from '../fdt/fdt-write.js';
import type { Handover, MemoryArea } from '../model.js';
import { readHandover } from '../open.js';
import { luoWithMemfd, put, radixTree, tree, u64 } from '../testing/build.js';
import { checkHandover } from './check.js';
import type { Target } from './target.js';

const FIXTURES = fileURLToPath(new URL('../../../../src/handover/fixtures/', import.meta.url));
const PAGE = 4096;
const TREE = 0x50000;
const MEMBLOCK = 0x51000;
const RESERVED = 0x60000;
const METADATA = 0x52000;

type Block = readonly [address: number, order: number];
/** Everything that the sound handover names. */
const BLOCKS: readonly Block[] = [
  [TREE, 0],
  [MEMBLOCK, 0],
  [METADATA, 0],
  [RESERVED, 1],
  ...[0x500000, 0x501000, 0x502000, 0x503000, 0x504000, 0x505000, 0x600000, 0x777000].map((at): Block => [at, 0]),
];

interface Plan {
  readonly compatible?: string;
  readonly blocks?: readonly Block[];
  readonly scratch?: readonly MemoryArea[];
  readonly direction?: Handover['direction'];
  readonly reserved?: number;
  readonly map?: number;
  readonly release?: string;
  /** Of the memblock node. */
  readonly properties?: readonly string[];
  readonly change?: (memory: SparseMemory) => void;
  /** Bytes of the tree that are there. */
  readonly cut?: number;
}

/** A handover of everything that a real one has, and nothing wrong with it but what is planned. */
function made(plan: Plan = {}): { handover: Handover; memory: SparseMemory } {
  const memory = new SparseMemory();
  const text = (value: string) => new TextEncoder().encode(`${value}\0`);
  const user = (name: string, values: Record<string, Uint8Array>): NewNode => ({
    name,
    properties: Object.entries(values).map(([key, value]) => ({ name: key, value })),
    children: [],
  });
  const reserve = user('trace', {
    compatible: text('reserve-mem-v1'),
    start: u64(plan.reserved ?? RESERVED),
    size: u64(2 * PAGE),
  });
  const memblock = tree('memblock-v1', {}, [reserve]);
  put(memory, MEMBLOCK, memblock);
  const metadata = new Uint8Array(73);
  metadata[0] = 1;
  metadata.set(new TextEncoder().encode(plan.release ?? '7.2.12'), 4);
  put(memory, METADATA, metadata);
  for (const pfn of [RESERVED / PAGE, RESERVED / PAGE + 1, 0x600, 0x777]) memory.at(pfn);
  const values = { 'blob-size': u64(memblock.length), 'preserved-data': u64(MEMBLOCK) };
  const kept = Object.entries(values).filter(([name]) => plan.properties?.includes(name) ?? true);
  const children = [
    user('memblock', Object.fromEntries(kept)),
    user('kexec-metadata', { 'blob-size': u64(73), 'preserved-data': u64(METADATA) }),
    luoWithMemfd(memory),
  ];
  radixTree(memory, 0x100000, plan.blocks ?? BLOCKS);
  const blob = tree(plan.compatible ?? 'kho-v4', { 'preserved-memory-map': u64(plan.map ?? 0x100000) }, children);
  put(memory, TREE, blob);
  plan.change?.(memory);
  const handover = readHandover(
    blob.subarray(0, plan.cut),
    { memory, blobs: new Map() },
    { direction: plan.direction ?? 'outgoing', address: TREE, scratch: plan.scratch ?? [], evidence: [] },
  );
  return { handover, memory };
}

function findings(plan: Plan, target?: Target): string[] {
  const { handover, memory } = made(plan);
  return checkHandover(handover, memory, target).map(
    ({ severity, check, about, areas }) =>
      `${severity} ${check} ${about}${areas.map(({ address, size }) => ` ${address.toString(16)}+${size.toString(16)}`).join('')}`,
  );
}

const without = (...addresses: readonly number[]) => BLOCKS.filter(([address]) => !addresses.includes(address));

test('nothing is wrong with a sound handover', () => {
  assert.deepEqual(findings({}), []);
  const own = made().handover;
  assert.deepEqual(findings({}, { release: '7.2.12', takesHandovers: true, handovers: [own] }), []);
});

test('preserved memory in scratch memory is overwritten', () => {
  const scratch = [
    { address: 0x61000, size: 2 * PAGE },
    { address: 0x1000000, size: 0x100000 },
  ];
  assert.deepEqual(findings({ scratch }), ['lost scratch preserved memory 61000+1000']);
});

test('blocks that overlap are given twice, or not as many as they should be', () => {
  assert.deepEqual(findings({ blocks: [...BLOCKS, [RESERVED + PAGE, 0], [TREE, 1]] }), [
    'lost overlap preserved memory 50000+1000 51000+1000 61000+1000',
  ]);
});

test('pages of the map in scratch memory, or that are preserved memory too', () => {
  const scratch = [{ address: 0x101000, size: PAGE }];
  assert.deepEqual(findings({ scratch }), ['lost scratch the map of preserved memory 101000+1000']);
  assert.deepEqual(findings({ scratch, direction: 'incoming' }), []);
  assert.deepEqual(findings({ blocks: [...BLOCKS, [0x102000, 0]] }), [
    'lost map the map of preserved memory 102000+1000',
  ]);
});

test('what a user names and the map lacks is lost: the tree, descriptions, memory, folios', () => {
  assert.deepEqual(findings({ blocks: without(TREE) }), [
    `lost preserved the tree 50000+${made().handover.tree.totalSize.toString(16)}`,
  ]);
  assert.deepEqual(findings({ blocks: without(METADATA) }), ['lost preserved kexec-metadata 52000+49']);
  assert.deepEqual(findings({ blocks: [...without(RESERVED), [RESERVED, 0]] }), [
    'lost preserved reserve_mem trace 61000+1000',
  ]);
  assert.deepEqual(findings({ blocks: without(0x777000) }), ['lost preserved vm/7: folio 777000+1000']);
  assert.deepEqual(findings({ blocks: without(0x504000) }), ['lost preserved vm/7: list of folios 504000+1000']);
});

test('a folio that is named twice is given once', () => {
  const change = (memory: SparseMemory) => put(memory, 0x505010, u64(0x600n | (2n << 52n)));
  assert.deepEqual(findings({ change }), ['refused folios vm/7 600000+1000']);
});

test('a folio in the middle of a preserved block is refused', () => {
  const change = (memory: SparseMemory) => memory.at(0x776);
  assert.deepEqual(findings({ blocks: [...without(0x777000), [0x776000, 1]], change }), [
    'refused folios vm/7 777000+1000',
  ]);
});

test('what live update refuses: other numbers of files, blocks without any, two sessions of a name, seals of the future', () => {
  const change = (address: number, ...values: number[]) => ({
    change: (memory: SparseMemory) => put(memory, address, u64(...values)),
  });
  const refused = 'refused description LUO';
  assert.deepEqual(findings(change(0x501010 + 72, 2)), [refused]);
  assert.deepEqual(findings(change(0x502000, 0, 0)), [refused]);
  assert.deepEqual(findings(change(0x503010, 0x41)), ['refused file vm/7']);
  const twice = (memory: SparseMemory) => {
    put(memory, 0x501008, u64(2));
    put(memory, 0x501060, memory.at(0x501).slice(0x10, 0x60));
  };
  assert.deepEqual(findings({ change: twice }), [refused]);
});

test('a tree of more than the page that the next kernel maps', () => {
  const blob = tree('kho-v4', { 'preserved-memory-map': u64(0x100000), more: new Uint8Array(PAGE) });
  const found = checkHandover(readHandover(blob, { memory: undefined, blobs: new Map() }), undefined, undefined);
  assert.deepEqual(
    found.map(({ severity, check, message }) => `${severity} ${check} ${message}`),
    [
      `refused tree has ${blob.length} bytes, of which the next kernel maps a page`,
      'note map its map is not there: only descriptions were checked',
    ],
  );
});

test('memory that begins amid a page is not given back', () => {
  assert.deepEqual(findings({ reserved: RESERVED + 0x100 }), [
    'lost preserved reserve_mem trace 62000+100',
    'refused alignment reserve_mem trace 60100+2000',
  ]);
});

test('blocks of a bitmap that do not begin at a multiple of their size', () => {
  const memory = new SparseMemory();
  put(memory, 0x200000, u64(0));
  put(memory, 0x200008, Uint8Array.of(1, 0, 0, 0, 1, 0, 0, 0));
  put(memory, 0x200010, u64(0x61000, 0x300000));
  put(memory, 0x300000, Uint8Array.of(1));
  for (const pfn of [0x61, 0x62]) memory.at(pfn);
  const child = { name: 'user', properties: [{ name: 'fdt', value: u64(0x61000) }], children: [] };
  put(memory, 0x61000, tree('user-v1', {}));
  const blob = tree('kho-v1', { 'preserved-memory-map': u64(0x200000) }, [child]);
  const found = checkHandover(readHandover(blob, { memory, blobs: new Map() }), memory, undefined);
  assert.deepEqual(
    found.map(({ severity, check, areas }) => [severity, check, areas[0]?.address]),
    [['refused', 'alignment', 0x61000]],
  );
});

test('preserved memory that is no RAM is lost; what the dump lacks is a note', () => {
  assert.deepEqual(findings({ blocks: [...BLOCKS, [0x9000000, 0]] }), ['lost ram preserved memory 9000000+1000']);
  const change = (memory: SparseMemory) => void memory.pages.set(0x60, 'excluded');
  assert.deepEqual(findings({ change }), ['note presence preserved memory']);
});

test('a description that is not there: not RAM, or not in the dump', () => {
  const change = (state: 'excluded' | 'absent') => (memory: SparseMemory) => void memory.pages.set(0x52, state);
  assert.ok(findings({ change: change('absent') }).includes('lost description kexec-metadata'));
  assert.ok(findings({ change: change('excluded') }).includes('note description kexec-metadata'));
});

test('a tree that is cut off, without a map, or with nodes that lack a property', () => {
  assert.ok(findings({ cut: 200 }).includes('note tree the tree'));
  assert.ok(findings({ map: 0 }).includes('refused map the tree'));
  assert.deepEqual(findings({ properties: ['preserved-data'] }), ['refused node memblock']);
  const untold = checkHandover(
    readHandover(
      tree('kho-v4', {}, [{ name: 'user', properties: [{ name: 'preserved-data', value: u64(1) }], children: [] }]),
      { memory: undefined, blobs: new Map() },
    ),
    undefined,
    undefined,
  );
  assert.deepEqual(
    untold.map(({ severity, check }) => `${severity} ${check}`),
    ['refused map', 'refused node', 'note map'],
  );
});

test('a map that cannot be read whole is told, and nothing else of it', () => {
  const change = (memory: SparseMemory) => void memory.pages.set(0x100, 'absent');
  assert.deepEqual(findings({ change }), ['lost map preserved memory', 'note map preserved memory']);
});

test('of a handover that was taken the map may be in use again: no fault', () => {
  const change = (memory: SparseMemory) => void memory.at(0x100);
  assert.deepEqual(findings({ direction: 'incoming', blocks: [], change }), ['note map preserved memory']);
});

test('a target takes the version that it writes, and knows of other releases', () => {
  const target = (plan: Plan): Target => ({
    release: undefined,
    takesHandovers: true,
    handovers: [made(plan).handover],
  });
  assert.deepEqual(findings({}, target({ compatible: 'kho-v3' })), ['refused version the tree']);
  assert.deepEqual(findings({}, target({ release: '7.3.1' })), ['note release kexec-metadata']);
  const other = (memory: SparseMemory) => put(memory, 0x500000, new TextEncoder().encode('luo-v6'));
  assert.deepEqual(findings({}, target({ change: other })), ['refused version LUO']);
  const none = { release: '7.2.12', takesHandovers: false, handovers: [] };
  assert.deepEqual(findings({}, none), ['refused target the tree']);
  assert.deepEqual(findings({}, { ...none, takesHandovers: true }), ['note target the tree']);
});

function buffers(mem: Uint8Array): string[] {
  const compatible = new TextEncoder().encode('ftrace,cpu-v1\0');
  const properties = [
    { name: 'compatible', value: compatible },
    { name: 'mem', value: mem },
  ];
  const blob = tree('kho-v1', {}, [
    { name: 'ftrace', properties: [], children: [{ name: 'cpu0', properties, children: [] }] },
  ]);
  const handover = readHandover(blob, { memory: undefined, blobs: new Map() });
  return checkHandover(handover, undefined, undefined).map(
    ({ severity, check, about }) => `${severity} ${check} ${about}`,
  );
}

test('the series of 2023/24: mem of another length, an odd number of entries, too few, and the page that is being read', () => {
  const entries = (count: number) =>
    u64(...Array.from({ length: count }, (_, index) => [0x10000000 + index * PAGE, PAGE]).flat());
  const first = 'note version the tree';
  assert.deepEqual(buffers(entries(6)), [first, 'note mem /ftrace/cpu0']);
  assert.deepEqual(buffers(entries(5)), [first, 'refused mem /ftrace/cpu0']);
  assert.deepEqual(buffers(entries(4)), [first, 'refused mem /ftrace/cpu0']);
  assert.deepEqual(buffers(entries(6).subarray(0, 88)), [first, 'lost mem /ftrace/cpu0']);
});

test('the tree that a kernel cut off in debugfs is told to be, and refused by nobody', () => {
  const blob = Uint8Array.from(readFileSync(`${FIXTURES}out-fdt-cut.dtb`));
  const found = checkHandover(readHandover(blob, { memory: undefined, blobs: new Map() }), undefined, undefined);
  assert.match(found[0]?.message ?? '', /^is cut off: 233 of 353 bytes are there; kernels up to 7\.2/);
  assert.ok(found.every(({ severity }) => severity === 'note'));
});

test('a hostile handover is checked to an end', () => {
  const random = new Random(23);
  for (let round = 0; round < 60; round++) {
    const { memory } = made();
    const pfns = [...memory.pages.keys()];
    for (let change = 0; change < 6; change++) {
      memory.at(pfns[random.below(pfns.length)] ?? 0)[random.below(PAGE)] = random.below(256);
    }
    const { handover } = made({
      change: (fresh) => {
        for (const [pfn, page] of memory.pages) fresh.pages.set(pfn, page);
      },
    });
    assert.ok(checkHandover(handover, memory, undefined).length < 1000);
  }
});
