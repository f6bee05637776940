import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isExhumeError } from '../../src/bytes/errors.js';
import { dtsText } from '../../src/handover/fdt/dts.js';
import { parseDts } from '../../src/handover/fdt/dts-parse.js';
import { readFdt } from '../../src/handover/fdt/fdt.js';
import { writeFdt } from '../../src/handover/fdt/fdt-write.js';
import { randomDts } from '../../src/handover/testing/random-dts.js';
import { randomTree } from '../../src/handover/testing/random-tree.js';
import { Random } from '../../src/testing/random.js';
import { forkyRoot } from '../chroot.js';

// From dist/lab/e2e as from lab/e2e.
const FIXTURES = fileURLToPath(new URL('../../../src/handover/fixtures/', import.meta.url));

/** What dtc makes of it; undefined when it refuses. */
function dtc(input: string | Uint8Array, ...options: readonly string[]): Buffer | undefined {
  const { status, stdout, error } = spawnSync('dtc', ['-q', '-q', ...options, '-'], { input, maxBuffer: 1 << 26 });
  if (error !== undefined) throw error;
  return status === 0 ? stdout : undefined;
}

/** The blob that we make of a text; undefined when we refuse it. */
function ours(text: string): Buffer | undefined {
  try {
    return Buffer.from(writeFdt(parseDts(text)));
  } catch (error) {
    if (isExhumeError(error, 'EXH_USAGE')) return undefined;
    throw error;
  }
}

/** Those that are kept (kernels' whole ones, and that of features.dts), and those of boards that come with QEMU. */
const blobs = [FIXTURES, `${forkyRoot}/usr/share/qemu/`].flatMap((directory) => {
  const names = readdirSync(directory).filter((name) => name.endsWith('.dtb') && !name.includes('cut'));
  return names.map((name) => ({ name, blob: readFileSync(`${directory}${name}`) }));
});

test('the text with all that the language has gives what dtc makes of it', () => {
  const text = readFileSync(`${FIXTURES}features.dts`, 'utf8');
  assert.deepEqual(ours(text), dtc(text, '-I', 'dts', '-O', 'dtb'));
});

test('random texts give what dtc makes of them, byte for byte; what it refuses is refused', () => {
  const random = new Random(21);
  let [same, refused] = [0, 0];
  for (let round = 0; round < 200; round++) {
    const text = randomDts(random);
    const expected = dtc(text, '-I', 'dts', '-O', 'dtb');
    assert.deepEqual(ours(text), expected, text);
    if (expected === undefined) refused++;
    else same++;
  }
  assert.ok(same > 80 && refused > 20, `${same} ${refused}`);
});

test('random trees as text give in dtc the same blob as ours', () => {
  const random = new Random(22);
  for (let round = 0; round < 100; round++) {
    const tree = { ...randomTree(random), bootCpu: random.below(4) };
    const text = dtsText(tree);
    const blob = dtc(text, '-I', 'dts', '-O', 'dtb', '-b', `${tree.bootCpu}`);
    assert.deepEqual(Buffer.from(writeFdt(tree)), blob, text);
  }
});

test("kernels' and boards' blobs: dtc reads our text and our blob as it reads theirs; version 16 reads as version 17", () => {
  assert.ok(blobs.length >= 8, `${blobs.length} blobs`);
  for (const { name, blob } of blobs) {
    const tree = readFdt(blob);
    const expected = dtc(blob, '-I', 'dtb', '-O', 'dtb');
    assert.deepEqual(Buffer.from(writeFdt(tree)), expected, name);
    assert.deepEqual(dtc(dtsText(tree), '-I', 'dts', '-O', 'dtb', '-b', `${tree.bootCpu}`), expected, name);
    const old = readFdt(dtc(blob, '-I', 'dtb', '-O', 'dtb', '-V', '16') ?? assert.fail());
    assert.deepEqual([old.version, old.damage], [16, []]);
    assert.deepEqual(Buffer.from(writeFdt(old)), expected, name);
  }
});
