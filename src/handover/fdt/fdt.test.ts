import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isExhumeError } from '../../bytes/errors.js';
import { Random } from '../../testing/random.js';
import { dtsText } from './dts.js';
import { FDT_IN_PROGRESS, FDT_MAGIC, fdtChild, fdtStrings, fdtValue, readFdt } from './fdt.js';
import { type NewNode, writeFdt } from './fdt-write.js';

const FIXTURES = fileURLToPath(new URL('../../../../src/handover/fixtures/', import.meta.url));
const WHOLE = readFileSync(`${FIXTURES}in-fdt.dtb`);
const CUT = readFileSync(`${FIXTURES}out-fdt-cut.dtb`);
const NAMES = ['compatible', 'preserved-memory-map', 'preserved-data', 'blob-size'];

function node(name: string, properties: Record<string, Uint8Array | string>, children: NewNode[] = []): NewNode {
  return {
    name,
    properties: Object.entries(properties).map(([key, value]) => ({
      name: key,
      value: typeof value === 'string' ? new TextEncoder().encode(`${value}\0`) : value,
    })),
    children,
  };
}

test('a tree that a kernel handed over reads with its nodes, properties and layout', () => {
  const tree = readFdt(WHOLE);
  assert.deepEqual(tree.damage, []);
  assert.deepEqual([tree.version, tree.lastCompatible, tree.totalSize, tree.inProgress], [17, 16, 353, false]);
  assert.deepEqual(fdtStrings(fdtValue(tree.root, 'compatible')), ['kho-v4']);
  assert.deepEqual(
    tree.root.children.map(({ name, properties }) => [name, properties.map((one) => one.name)]),
    ['memblock', 'kho_test', 'kexec-metadata'].map((name) => [name, ['blob-size', 'preserved-data']]),
  );
  assert.equal(fdtChild(tree.root, 'memblock', 'nothing'), undefined);
});

test('a tree that its kernel cut off tells what is missing; names are told by their lengths when they are known', () => {
  const tree = readFdt(CUT, { knownNames: NAMES });
  assert.ok(tree.damage.length >= 2);
  assert.deepEqual(
    tree.root.children.map(({ name }) => name),
    ['memblock', 'kho_test', 'kexec'],
  );
  assert.deepEqual(
    tree.root.properties.map(({ name }) => name),
    ['compatible', 'preserved-memory-map'],
  );
  const unnamed = readFdt(CUT);
  assert.deepEqual(
    unnamed.root.properties.map(({ name }) => name),
    ['name@21', 'name@0'],
  );
});

test("the kernel's own trees are written again byte for byte, each in its layout", () => {
  for (const [name, layout] of [
    ['in-fdt.dtb', 'packed'],
    ['memblock.dtb', 'sequential'],
    ['kho_test.dtb', 'sequential'],
    ['series-2023-dt.dtb', 'sequential'],
  ] as const) {
    const bytes = readFileSync(`${FIXTURES}${name}`);
    assert.deepEqual(Buffer.from(writeFdt(readFdt(bytes), layout)), bytes, name);
  }
});

test('a name that is the end of another one stands there within it', () => {
  const root = node('', { 'blob-size': 'a', size: 'b' });
  for (const layout of ['dtc', 'sequential', 'packed'] as const) {
    const written = writeFdt({ root }, layout);
    assert.equal(new TextDecoder().decode(written).split('size').length, 2, layout);
    assert.deepEqual(
      readFdt(written).root.properties.map(({ name }) => name),
      ['blob-size', 'size'],
    );
  }
});

test('what is written reads back, and names stand there once', () => {
  const root = node('', { compatible: 'a', empty: new Uint8Array(0) }, [
    node('one', { compatible: 'b', odd: Uint8Array.of(1, 2, 3) }, [node('deep', { odd: Uint8Array.of(9) })]),
    node('two@1000', {}),
  ]);
  const reservations = [{ address: 0x1000n, size: 0x200n }];
  const bytes = writeFdt({ root, reservations, bootCpu: 3 });
  const tree = readFdt(bytes);
  assert.deepEqual(tree.damage, []);
  assert.deepEqual([tree.reservations, tree.bootCpu], [reservations, 3]);
  assert.deepEqual(writeFdt(tree), bytes);
  assert.deepEqual(fdtValue(fdtChild(tree.root, 'one', 'deep') ?? tree.root, 'odd'), Uint8Array.of(9));
  assert.equal(Buffer.from(bytes).toString('latin1').split('compatible').length - 1, 1);
});

test('source text is that of dtc: text, words, bytes', () => {
  const root = node(
    '',
    { text: 'a"b', words: Uint8Array.of(0, 0, 0, 5, 0x12, 0x34, 0x56, 0x78), flag: new Uint8Array(0) },
    [node('child', { bytes: Uint8Array.of(1, 0xab, 3), list: 'x\0y' })],
  );
  assert.equal(
    dtsText({ root, reservations: [{ address: 0x1000n, size: 16n }] }),
    [
      '/dts-v1/;',
      '',
      '/memreserve/\t0x0000000000001000 0x0000000000000010;',
      '/ {',
      '\ttext = "a\\"b";',
      '\twords = <0x05 0x12345678>;',
      '\tflag;',
      '',
      '\tchild {',
      '\t\tbytes = [01 ab 03];',
      '\t\tlist = "x", "y";',
      '\t};',
      '};',
      '',
    ].join('\n'),
  );
});

test('a tree that is still being written has its names below its end', () => {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  const words = [FDT_IN_PROGRESS, 256, 56, 256, 40, 17, 16, 0, 11, 0];
  for (const [index, word] of words.entries()) view.setUint32(index * 4, word);
  for (const [index, word] of [1, 0, 3, 2, -11, 0x61000000].entries()) view.setInt32(56 + index * 4, word);
  bytes.set(new TextEncoder().encode('compatible\0'), 256 - 11);
  const tree = readFdt(bytes);
  assert.equal(tree.inProgress, true);
  assert.deepEqual(fdtStrings(fdtValue(tree.root, 'compatible')), ['a']);
});

test('what is no tree is refused with the reason', () => {
  assert.throws(() => readFdt(new Uint8Array(100)), { code: 'EXH_NOT_A_DUMP' });
  assert.throws(() => readFdt(WHOLE.subarray(0, 20)), { code: 'EXH_TRUNCATED' });
  const old = Uint8Array.from(WHOLE);
  new DataView(old.buffer).setUint32(20, 2);
  assert.throws(() => readFdt(old), { code: 'EXH_UNSUPPORTED_FORMAT' });
});

test('damaged and cut trees end in errors of ours or in damage that is told', () => {
  const random = new Random(8);
  for (let round = 0; round < 3000; round++) {
    const bytes = Uint8Array.from(random.below(3) === 0 ? WHOLE.subarray(0, random.below(WHOLE.length)) : WHOLE);
    if (bytes.length > 0) random.mutate(bytes, 6);
    if (bytes.length >= 4) new DataView(bytes.buffer).setUint32(0, random.below(2) ? FDT_MAGIC : FDT_IN_PROGRESS);
    try {
      const tree = readFdt(bytes, { knownNames: NAMES });
      dtsText(tree);
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
});
