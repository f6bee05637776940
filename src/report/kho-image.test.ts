import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PhysicalAddress } from '../bytes/address.js';
import type { PhysicalRange } from '../dump/memory.js';
import { SparseMemory } from '../dump/testing/sparse-memory.js';
import type { Handover, MemoryArea } from '../handover/model.js';
import { readHandover } from '../handover/open.js';
import { luoWithMemfd, put, radixTree, tree, u64 } from '../handover/testing/build.js';
import { Random } from '../testing/random.js';
import { buildKhoImage, COLUMNS, type HandoverImage, type ImageBar } from './kho-image.js';
import { khoImageSvg } from './svg/kho-image.js';
import { khoImageText } from './text/kho-image.js';

const GIB = 2 ** 30;
const TREE = 0x50000;

const range = (start: number, end: number): PhysicalRange => ({
  start: start as PhysicalAddress,
  end: end as PhysicalAddress,
});

interface Plan {
  readonly blocks: readonly (readonly [address: number, order: number])[];
  readonly scratch?: readonly MemoryArea[];
  /** Of a user whose description is a page at 0x51000. */
  readonly user?: string;
}

function handover({ blocks, scratch = [], user = 'user' }: Plan): Handover {
  const memory = new SparseMemory();
  radixTree(memory, 0x100000, blocks);
  put(memory, 0x51000, tree('user-v1', {}));
  const child = {
    name: user,
    properties: [
      { name: 'blob-size', value: u64(4096) },
      { name: 'preserved-data', value: u64(0x51000) },
    ],
    children: [],
  };
  const blob = tree('kho-v4', { 'preserved-memory-map': u64(0x100000) }, [child, luoWithMemfd(memory)]);
  put(memory, TREE, blob);
  return readHandover(
    blob,
    { memory, blobs: new Map() },
    { direction: 'outgoing', address: TREE, scratch, evidence: [] },
  );
}

function image(plan: Plan, ranges?: readonly PhysicalRange[]): HandoverImage {
  const [made] = buildKhoImage([handover(plan)], ranges);
  assert.ok(made !== undefined);
  return made;
}

const barsOf = ({ scales }: HandoverImage, lane: string, scale = 0): readonly ImageBar[] =>
  scales[scale]?.lanes.find(({ name }) => name === lane)?.bars ?? [];

test('a page in 64 GiB is a bar in all memory, and a whole column on a scale of its own', () => {
  const at = 40 * GIB + 0x7000;
  const made = image({ blocks: [[at, 0]] }, [range(0, 64 * GIB)]);
  assert.deepEqual([made.scales[0]?.start, made.scales[0]?.column, made.scales[0]?.end], [0, GIB, 64 * GIB]);
  const [bar] = barsOf(made, 'nobody known');
  assert.deepEqual([bar?.start, bar?.end, bar?.places, bar?.order], [at, at + 4096, 1, 0]);
  const near = made.scales.find(({ column, start, end }) => column === 4096 && start <= at && at < end);
  const [large] = near?.lanes.find(({ name }) => name === 'nobody known')?.bars ?? [];
  assert.equal((large?.to ?? 0) - (large?.from ?? 0), 1);
  assert.equal(made.undrawn, 0);
});

test('blocks are drawn by owner and order, the rest as what it is', () => {
  const made = image(
    {
      blocks: [
        [TREE, 0],
        [0x51000, 0],
        [0x800000, 9],
        [0x600000, 0],
      ],
      scratch: [{ address: 0x2000000, size: 0x100000 }],
    },
    [range(0, 0xa0000), range(0x100000, 0x4000000)],
  );
  assert.deepEqual(
    made.scales[0]?.lanes.map(({ name }) => name),
    ['RAM', 'scratch', 'the tree', 'user', 'LUO', 'vm/7', 'nobody known', "the map's own pages", 'drawn larger'],
  );
  assert.deepEqual(
    barsOf(made, 'nobody known').map(({ start, order, kind }) => [start, order, kind]),
    [[0x800000, 9, 'preserved']],
  );
  assert.equal(barsOf(made, 'RAM').length, 2);
  // A folio that the map has, and another that it lacks.
  assert.deepEqual(
    barsOf(made, 'vm/7')
      .filter(({ about }) => about?.includes('folio'))
      .map(({ kind, start }) => [kind, start]),
    [
      ['named', 0x504000],
      ['preserved', 0x600000],
      ['named', 0x777000],
    ],
  );
});

test('what overlaps is marked: preserved memory in scratch memory, and where no RAM is', () => {
  const scratch = [{ address: 0x900000, size: 0x100000 }];
  const made = image(
    {
      blocks: [
        [0x800000, 9],
        [0x5000000, 0],
      ],
      scratch,
    },
    [range(0, 0x4000000)],
  );
  assert.deepEqual(
    barsOf(made, 'overlaps').map(({ start, end, about }) => [start, end, about]),
    [
      [0x900000, 0xa00000, 'preserved memory: in scratch memory'],
      [0x5000000, 0x5001000, 'preserved memory: no RAM is there'],
    ],
  );
});

test('of a map that is not there nothing is said to be missing in it', () => {
  const made = handover({ blocks: [] });
  const [image] = buildKhoImage([{ ...made, preserved: undefined }], undefined);
  const all = image?.scales[0]?.lanes.flatMap(({ bars }) => bars) ?? [];
  assert.ok(all.some(({ about }) => about === 'the tree: named, and the map is not there'));
  assert.ok(!all.some(({ about }) => about?.includes('not in the map')));
});

test('a scrap of RAM far away does not take the columns', () => {
  const made = image({ blocks: [[0x800000, 9]] }, [range(0, GIB), range(4 * GIB - 0x40000, 4 * GIB)]);
  assert.equal(made.scales[0]?.end, GIB);
});

test('text has rows of one width, and shows orders, holes and what is not in the map', () => {
  const made = image(
    {
      blocks: [
        [0x800000, 9],
        [0x40000000, 18],
      ],
    },
    [range(0, 3 * GIB)],
  );
  const lines = [...khoImageText([made])];
  const rows = lines.filter((line) => /^ {2}(RAM|nobody known|vm\/7)/.test(line));
  assert.ok(rows.length > 6);
  assert.equal(new Set(rows.map((line) => line.length)).size, 1);
  assert.match(lines.find((line) => line.startsWith('  RAM')) ?? '', / ={48}\.{16}$/);
  assert.match(lines.find((line) => line.startsWith('  nobody known')) ?? '', / 9\.{15}i{16}\.{32}$/);
  assert.match(lines.find((line) => line.startsWith('  vm/7')) ?? '', / \?\.{63}$/);
});

/** Every tag is closed, nothing but markup of ours is there. */
function checkMarkup(svg: string): void {
  const open: string[] = [];
  const known = new Set(['svg', 'title', 'style', 'defs', 'pattern', 'path', 'rect', 'text']);
  const rest = svg.replace(/<(\/?)(\w+)((?: [\w:-]+="[^"<>]*")*)(\/?)>/g, (_, closing, name, __, single) => {
    assert.ok(known.has(name), name);
    if (closing) assert.equal(open.pop(), name);
    else if (!single) open.push(name);
    return '';
  });
  assert.deepEqual(open, []);
  assert.doesNotMatch(rest, /[<>]/);
  assert.doesNotMatch(rest.replace(/&(amp|lt|gt|quot|#39);/g, ''), /&/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: XML forbids them
  assert.doesNotMatch(svg, /[\x00-\x08\x0b-\x1f\ufffe\uffff]/);
}

test('SVG is well-formed whatever the names are, and has exact places to hover over', () => {
  const user = '"><script>alert(1)</script>\x1b[2J&amp;\u202e';
  const svg = khoImageSvg([
    image(
      {
        blocks: [
          [0x51000, 0],
          [0x800000, 9],
        ],
        user,
      },
      [range(0, GIB)],
    ),
  ]);
  checkMarkup(svg);
  assert.match(svg, /<title>0x800000 to 0x9fffff: 2 MiB, order 9, nobody known<\/title>/);
  assert.ok(svg.includes('&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[2J&amp;amp;\\u202e'));
  checkMarkup(khoImageSvg([]));
});

test('pictures of any blocks are bounded, and every block is within a bar of all memory', () => {
  const random = new Random(17);
  for (let round = 0; round < 25; round++) {
    const top = 2 ** (24 + random.below(22));
    const blocks = Array.from({ length: 1 + random.below(400) }, () => {
      const order = random.below(12);
      const size = 4096 * 2 ** order;
      return [Math.floor((random.below(1 << 30) / 2 ** 30) * (top / size)) * size, order] as const;
    });
    const unique = [...new Map(blocks.map((block) => [block.join(), block])).values()];
    const ranges = random.below(2) === 0 ? undefined : [range(0, Math.floor(top / 3)), range(Math.floor(top / 2), top)];
    const scratch = [{ address: random.below(1 << 30), size: 1 + random.below(1 << 26) }];
    const made = image({ blocks: unique, scratch }, ranges);
    assert.ok(made.scales.length <= 8);
    for (const { lanes, start, end, column } of made.scales) {
      assert.equal(end - start, column * COLUMNS);
      assert.ok(lanes.length <= 18);
      for (const { bars } of lanes) {
        assert.ok(bars.length <= COLUMNS * 40, String(bars.length));
        for (const { from, to } of bars) assert.ok(from >= 0 && from < to && to <= COLUMNS, `${from} ${to}`);
      }
    }
    const all = made.scales[0]?.lanes.flatMap(({ bars }) => bars.filter(({ kind }) => kind === 'preserved')) ?? [];
    for (const [address] of unique) assert.ok(all.some(({ start, end }) => start <= address && address < end));
    for (const line of khoImageText([made])) assert.ok(line.length <= 110, line);
    checkMarkup(khoImageSvg([made]));
  }
});
