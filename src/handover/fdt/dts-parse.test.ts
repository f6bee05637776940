import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ExhumeError, isExhumeError } from '../../bytes/errors.js';
import { Random } from '../../testing/random.js';
import { randomDts } from '../testing/random-dts.js';
import { randomTree } from '../testing/random-tree.js';
import { dtsText } from './dts.js';
import { parseDts } from './dts-parse.js';
import { fdtChild, fdtValue, readFdt } from './fdt.js';
import { type NewFdt, writeFdt } from './fdt-write.js';

const FIXTURES = fileURLToPath(new URL('../../../../src/handover/fixtures/', import.meta.url));
const FEATURES = readFileSync(`${FIXTURES}features.dts`, 'utf8');
const BLOBS = ['features.dtb', 'in-fdt.dtb', 'kho_test.dtb', 'memblock.dtb'].map((name) =>
  readFileSync(`${FIXTURES}${name}`),
);

/** The root of a text, whose beginning is put before. */
function root(body: string): NewFdt['root'] {
  return parseDts(`/dts-v1/; ${body}`).root;
}

function value(body: string, name = 'a'): Buffer {
  const found = root(`/ { ${body} };`).properties.find((property) => property.name === name);
  assert.ok(found);
  return Buffer.from(found.value);
}

/** What the text is refused with. */
function refusal(text: string): ExhumeError {
  try {
    parseDts(text, 'x.dts');
  } catch (error) {
    if (error instanceof ExhumeError) return error;
    throw error;
  }
  throw new Error(`not refused: ${text.slice(0, 200)}`);
}

test('a text with all that the language has gives the blob that dtc made of it, byte for byte', () => {
  assert.deepEqual(Buffer.from(writeFdt(parseDts(FEATURES))), BLOBS[0]);
});

test('blobs go through text and come back: those of a kernel, and random trees', () => {
  const random = new Random(10);
  const trees = [...BLOBS.map((blob) => readFdt(blob)), ...Array.from({ length: 300 }, () => randomTree(random))];
  for (const tree of trees) {
    const back = parseDts(dtsText(tree));
    assert.deepEqual(writeFdt({ ...back, bootCpu: tree.bootCpu }), writeFdt(tree));
  }
});

test('numbers are of 64 bits, unsigned, and must fit where they stand', () => {
  assert.equal(value('a = /bits/ 64 <(-1) (1 - 2) (0 - 1 > 0)>;').toString('hex'), `${'f'.repeat(32)}0000000000000001`);
  assert.equal(value('a = /bits/ 8 <(-128) 255 010 0x10>;').toString('hex'), '80ff0810');
  assert.match(refusal('/dts-v1/; / { a = /bits/ 8 <256>; };').message, /x\.dts:1:29: 0x100 does not fit into 8 bits/);
  assert.match(refusal('/dts-v1/; / { a = <(-0x100000001)>; };').message, /does not fit/);
  assert.match(refusal('/dts-v1/; / { a = <0x10000000000000000>; };').message, /more than 64 bits/);
  assert.match(refusal('/dts-v1/; / { a = <08>; };').message, /no octal/);
  assert.match(refusal('/dts-v1/; / { a = <(1 || 1 / 0)>; };').message, /division by zero/);
});

test('operators bind as in C', () => {
  const cells = (text: string): number => value(`a = <(${text})>;`).readUInt32BE();
  assert.deepEqual(
    ['1 + 2 << 3', '1 | 2 ^ 3 & 4 == 4', '7 - 2 - 1', '100 / 7 % 4', '1 ? 2 : 0 ? 3 : 4', '!0 + 1', '2 > 1 == 1'].map(
      cells,
    ),
    [24, 3, 4, 2, 2, 2, 1],
  );
});

test('phandles are numbered in the order of the references, past those that are taken', () => {
  const tree = root(
    '/ { one = <&c &{/b}>; b { phandle = <1>; }; c: c {}; d: d { self = <&d>; path = &c, &{/}; }; e: e { phandle = <&e>; }; };',
  );
  const phandle = (name: string): number =>
    Buffer.from(
      fdtValue(
        readFdt(writeFdt({ root: tree })).root.children.find((one) => one.name === name) ?? assert.fail(),
        'phandle',
      ) ?? [],
    ).readUInt32BE();
  assert.deepEqual(['b', 'c', 'd', 'e'].map(phandle), [1, 2, 3, 4]);
  assert.equal(Buffer.from(tree.children[2]?.properties[1]?.value ?? []).toString(), '/c\0/\0');
});

test('what is told again takes the place of what was there; what is deleted and told again keeps its place', () => {
  const tree = root(`/ { a = "1"; b = "2"; l: n { x; }; m {}; };
    / { b; /delete-property/ a; c; }; / { a = "3"; /delete-node/ m; }; &l { y; };`);
  assert.deepEqual(
    tree.properties.map(({ name, value }) => `${name}=${Buffer.from(value)}`),
    ['a=3\0', 'b=', 'c='],
  );
  assert.deepEqual(
    tree.children.map((child) => [child.name, ...child.properties.map(({ name }) => name)]),
    [['n', 'x', 'y']],
  );
  assert.equal(root('/ { l: n {}; }; /delete-node/ &l;').children.length, 0);
});

test('a node that may be omitted stays when something refers to it', () => {
  const names = (text: string): string[] => root(text).children.map(({ name }) => name);
  assert.deepEqual(names('/ { /omit-if-no-ref/ l: a {}; b {}; };'), ['b']);
  assert.deepEqual(names('/ { /omit-if-no-ref/ l: a {}; b { c = <&l>; }; };'), ['a', 'b']);
  assert.deepEqual(names('/ { l: a {}; b {}; }; /omit-if-no-ref/ &l;'), ['b']);
});

test('an error tells file, line and column; a line of the C preprocessor is followed to where it came from', () => {
  const error = refusal('/dts-v1/;\n/ {\n\ta = <1>\n};\n');
  assert.equal(error.code, 'EXH_USAGE');
  assert.equal(error.message, 'x.dts:4:1: expected ;, found "}"');
  assert.deepEqual([error.data.file, error.data['line'], error.data['column']], ['x.dts', 4, 1]);
  assert.match(refusal('# 1 "a.dts"\n/dts-v1/;\n# 7 "b.dtsi" 1\n/ {\n\ta = <?>; };').message, /^b\.dtsi:8:7: /);
});

test('what takes other files, and overlays, is refused by name', () => {
  for (const [text, what] of [
    ['/dts-v1/;\n#include "a.dtsi"\n/ {};', /x\.dts:2:1: a line for the C preprocessor: #include "a\.dtsi"/],
    ['/dts-v1/;\n #define A 1\n/ {};', /#define A 1/],
    ['/dts-v1/;\n/include/ "a.dtsi"\n/ {};', /2:1: \/include\//],
    ['/dts-v1/; / { a = /incbin/("b"); };', /1:19: \/incbin\//],
    ['/dts-v1/; /plugin/; / {};', /\/plugin\/: an overlay/],
  ] as const) {
    const error = refusal(text);
    assert.equal(error.code, 'EXH_UNSUPPORTED_FORMAT', text);
    assert.match(error.message, what);
    assert.ok(error.data.hint);
  }
  assert.equal(value('#include-cells = <1>;', '#include-cells').length, 4);
});

test('what dtc refuses is refused', () => {
  for (const [text, what] of [
    ['/ {};', /expected \/dts-v1\//],
    ['/dts-v1/; / { a; a; };', /a second property a/],
    ['/dts-v1/; / { a {}; a {}; };', /a second node a/],
    ['/dts-v1/; / { l: a {}; l: b {}; };', /a second label l/],
    ['/dts-v1/; / { a { }; b; };', /properties stand before nodes/],
    ['/dts-v1/; / { a = <&none>; };', /no node none/],
    ['/dts-v1/; / {}; &none {};', /no node none so far/],
    ['/dts-v1/; / { a = <FOO>; };', /FOO stands where a value is due/],
    ['/dts-v1/; / { a = /bits/ 16 <&{/}>; };', /cells of 32 bits/],
    ['/dts-v1/; / { a = /bits/ 12 <1>; };', /8, 16, 32 or 64/],
    ['/dts-v1/; / { a@1; };', /no name for a property/],
    ['/dts-v1/; / { a#b {}; };', /no name for a node/],
    ['/dts-v1/; / { a { name = "b"; }; };', /is not its name/],
    ['/dts-v1/; / { a { phandle = <1>; }; b { phandle = <1>; }; };', /another's/],
    ['/dts-v1/; / { a { phandle = <0>; }; };', /no phandle/],
    ['/dts-v1/; / {}; /delete-node/ &{/};', /the root stays/],
    ["/dts-v1/; / { a = <'ab'>; };", /another number of bytes than one/],
    ['/dts-v1/; / { a = "b; };', /a text that does not end/],
    ['/dts-v1/; / { a = "b\\\n"; };', /a text that does not end/],
    ['/dts-v1/; / { a = "\\x"; };', /without a hexadecimal digit/],
    ['/dts-v1/; /* / {};', /a comment that does not end/],
    ['/dts-v1/; / { a = [0]; };', /bytes of two digits/],
    ['/dts-v1/; / {}; /memreserve/ 1 2;', /expected a node or the end/],
  ] as const) {
    assert.match(refusal(text).message, what, text);
  }
});

test('depth, long rows and what would grow far beyond its text have an end', () => {
  const many = 100_000;
  for (const text of [
    `/ ${'{ a '.repeat(many)}`,
    `/ { a = <${'('.repeat(many)}`,
    `/ { a = <(${'-'.repeat(many)}1)>; };`,
    `/ { a = <(${'1 ? 1 : '.repeat(many)}1)>; };`,
    `/ { l0: a {}; }; ${Array.from({ length: 300 }, (_, index) => `&l${index} { l${index + 1}: a {}; };`).join('')}`,
    // A path of 200,000 bytes, a thousand times.
    `/ { b = ${'&l, '.repeat(1000)}&l; l: ${'a'.repeat(200_000)} {}; };`,
  ]) {
    assert.match(refusal(`/dts-v1/; ${text}`).message, /deep|bytes of paths/);
  }
  assert.equal(value(`a = <(${'1 + '.repeat(many)}1)>;`).readUInt32BE(), many + 1);
  assert.equal(value(`a = /bits/ 64 <${'1 '.repeat(many)}>;`).length, 8 * many);
  assert.match(refusal(`/dts-v1/; / { ${'#a; '.repeat(many)} };`).message, /a second property #a/);
  assert.equal(value(`${'l: '.repeat(many)} a = "b";`).length, 2);
});

test('mutated texts end in a tree that goes through text again, or in an error of ours', () => {
  const random = new Random(11);
  let read = 0;
  for (let round = 0; round < 1500; round++) {
    const bytes = Buffer.from(random.below(2) === 0 ? FEATURES : randomDts(random));
    const letters = '{}<>[]()&/;:="\'\\#0a@- ';
    if (random.below(4) === 0) random.mutate(bytes, 3);
    else bytes[random.below(bytes.length)] = letters.charCodeAt(random.below(letters.length));
    try {
      const tree = parseDts(bytes.toString('latin1'));
      read++;
      assert.deepEqual(parseDts(dtsText(tree)).root, tree.root);
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
  assert.ok(read > 50, `${read}`);
});

test('mutated blobs that read without damage are written, read and told in text the same', () => {
  const random = new Random(12);
  let [whole, told] = [0, 0];
  for (let round = 0; round < 3000; round++) {
    const bytes = Uint8Array.from(random.pick([BLOBS[0] ?? assert.fail(), ...BLOBS]));
    random.mutate(bytes, 3);
    try {
      const tree = readFdt(bytes);
      if (tree.damage.length > 0) continue;
      const again = readFdt(writeFdt(tree));
      assert.deepEqual(again.damage, []);
      assert.deepEqual(writeFdt(again), writeFdt(tree));
      whole++;
      const { root: back } = parseDts(dtsText(again));
      assert.deepEqual(writeFdt({ ...again, root: back }), writeFdt(again));
      told++;
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
  assert.ok(whole > 500 && told > 300, `${whole} ${told}`);
});

test('many properties whose names are one long text do not make it grow', () => {
  const properties = Array.from({ length: 2000 }, () => ({ name: 'a', value: new Uint8Array(0) }));
  const bytes = writeFdt({ root: { name: '', properties, children: [] } });
  const long = new Uint8Array(bytes.length + 100_000).fill(0x61);
  long.set(bytes);
  const view = new DataView(long.buffer);
  view.setUint32(4, long.length);
  const nodes = view.getUint32(8);
  for (const index of properties.keys()) view.setUint32(nodes + 8 + index * 12 + 8, index);
  long[bytes.length - 1] = 0x61;
  const tree = readFdt(long);
  assert.equal(tree.root.properties[5]?.name, 'name@5');
  assert.equal(fdtChild(tree.root, 'a'), undefined);
});
