import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySink } from '../bytes/byte-sink.js';
import { SparseMemory } from '../dump/testing/sparse-memory.js';
import { copyExtract, findExtract } from './extract.js';
import { readHandover } from './open.js';
import { luoWithMemfd, put, radixTree, tree, u64 } from './testing/build.js';

const PAGE = 4096;

interface Plan {
  /** Of the folios: u64 page number and flags, u64 index. */
  readonly folios?: readonly (readonly [pfn: number, index: number])[];
  readonly size?: number;
  readonly count?: number;
  readonly blocks?: readonly (readonly [address: number, order: number])[];
}

/** A memfd of 5000 bytes, its pages full of 1 and of 2, as planned otherwise. */
function made({ folios, size, count, blocks }: Plan = {}) {
  const memory = new SparseMemory();
  const luo = luoWithMemfd(memory);
  memory.at(0x600).fill(1);
  memory.at(0x777).fill(2);
  if (folios !== undefined) {
    put(memory, 0x505000, u64(...folios.flat()));
    put(memory, 0x503018, u64(folios.length));
  }
  if (count !== undefined) put(memory, 0x503018, u64(count));
  if (size !== undefined) put(memory, 0x503008, u64(size));
  radixTree(
    memory,
    0x100000,
    blocks ?? [
      [0x600000, 0],
      [0x777000, 0],
    ],
  );
  const blob = tree('kho-v4', { 'preserved-memory-map': u64(0x100000) }, [luo]);
  const handover = readHandover(
    blob,
    { memory, blobs: new Map() },
    { direction: 'outgoing', address: undefined, scratch: [], evidence: [] },
  );
  return { memory, handover };
}

function extracted(plan: Plan, name = 'vm/7'): Uint8Array {
  const { memory, handover } = made(plan);
  const sink = new MemorySink();
  copyExtract(findExtract([handover], name), memory, sink);
  return sink.bytes;
}

/** The first byte of each page. */
const firsts = (bytes: Uint8Array) =>
  Array.from({ length: Math.ceil(bytes.length / PAGE) }, (_, at) => bytes[at * PAGE]);

test("a memfd's bytes come in the order of its pages, up to its size", () => {
  const bytes = extracted({});
  assert.deepEqual([bytes.length, bytes[4095], bytes[4096], bytes[4999]], [5000, 1, 2, 2]);
  assert.deepEqual(
    firsts(
      extracted({
        folios: [
          [0x777, 0],
          [0x600, 1],
        ],
      }),
    ),
    [2, 1],
  );
});

test('pages that no folio has are zeros: the memfd had none there', () => {
  const holes = extracted({
    folios: [
      [0x600, 1],
      [0, 2],
      [0x777, 3],
    ],
    size: 5 * PAGE,
  });
  assert.deepEqual(firsts(holes), [0, 1, 0, 2, 0]);
  const { pieces } = findExtract([made({ folios: [[0x600, 1]], size: 2 * PAGE }).handover], 'vm/7');
  assert.deepEqual(pieces, [{ offset: PAGE, address: 0x600000, size: PAGE }]);
});

test('a folio is as large as its preserved block; without the map what follows it is not taken for a hole', () => {
  const plan = { folios: [[0x600, 0]], size: 2 * PAGE } as const;
  const { memory, handover } = made({ ...plan, blocks: [[0x600000, 1]] });
  memory.at(0x601).fill(3);
  const sink = new MemorySink();
  copyExtract(findExtract([handover], 'vm/7'), memory, sink);
  assert.deepEqual(firsts(sink.bytes), [1, 3]);
  assert.throws(() => extracted({ ...plan, blocks: [[0x1000, 0]] }), { code: 'EXH_BAD_STRUCTURE' });
  assert.deepEqual(firsts(extracted({ blocks: [[0x1000, 0]] })), [1, 2]);
});

test('where the map is gone, a folio is as large as the kernel that was given it noted; the old kernel notes nothing', () => {
  const { memory, handover } = made({ folios: [[0x600, 0]], size: 3 * PAGE, blocks: [[0x1000, 0]] });
  memory.at(0x601).fill(3);
  const given = { ...handover, direction: 'incoming' } as const;
  const noted = (address: number): number | undefined => (address === 0x600000 ? 1 : undefined);
  const sink = new MemorySink();
  copyExtract(findExtract([given], 'vm/7', noted), memory, sink);
  assert.deepEqual(firsts(sink.bytes), [1, 3, 0]);
  assert.throws(() => findExtract([given], 'vm/7', () => undefined), { code: 'EXH_BAD_STRUCTURE' });
  assert.throws(() => findExtract([handover], 'vm/7', noted), { code: 'EXH_BAD_STRUCTURE' });
});

test('pages that are not in the dump are errors, never zeros', () => {
  for (const [state, code] of [
    ['excluded', 'EXH_PAGE_EXCLUDED'],
    ['lost', 'EXH_PAGE_LOST'],
    ['absent', 'EXH_PAGE_ABSENT'],
  ] as const) {
    const { memory, handover } = made();
    memory.pages.set(0x777, state);
    assert.throws(() => copyExtract(findExtract([handover], 'vm/7'), memory, new MemorySink()), { code });
  }
});

test('a file with two folios for a page, with fewer than it says, or larger than the machine', () => {
  assert.throws(
    () =>
      extracted({
        folios: [
          [0x600, 0],
          [0x777, 0],
        ],
      }),
    { code: 'EXH_BAD_STRUCTURE' },
  );
  const { files, damage } = made({ count: 1000 }).handover;
  assert.deepEqual([files, damage.map(({ code }) => code)], [[], ['EXH_BAD_STRUCTURE']]);
  assert.throws(() => extracted({ folios: [[0x600, 0]], size: 1 << 30, blocks: [[0x600000, 14]] }), {
    code: 'EXH_BAD_STRUCTURE',
  });
});

test('descriptions and named memory, each by its name', () => {
  assert.equal(new TextDecoder().decode(extracted({}, 'LUO').subarray(0, 6)), 'luo-v5');
  assert.equal(extracted({}, 'vm/7: list of folios').length, 2 * PAGE);
  assert.deepEqual(extracted({}, 'outgoing:vm/7').length, 5000);
  assert.throws(() => extracted({}, 'incoming:vm/7'), { code: 'EXH_USAGE' });
  assert.throws(
    () => extracted({}, 'vm/8'),
    (error: Error & { data?: { hint?: string } }) => {
      assert.match(error.data?.hint ?? '', /LUO, vm\/7/);
      return true;
    },
  );
  const { handover } = made();
  assert.throws(() => findExtract([handover, handover], 'vm/7'), { code: 'EXH_USAGE' });
});
