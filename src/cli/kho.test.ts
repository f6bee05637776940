import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SparseMemory } from '../dump/testing/sparse-memory.js';
import { parseDts } from '../handover/fdt/dts-parse.js';
import { readFdt } from '../handover/fdt/fdt.js';
import { writeFdt } from '../handover/fdt/fdt-write.js';
import { luoWithMemfd, put, radixTree, tree, u64 } from '../handover/testing/build.js';
import { SAMPLE_PATH } from '../testing/sample.js';
import { exhume } from './testing/exhume.js';

const FIXTURES = fileURLToPath(new URL('../../../src/handover/fixtures/', import.meta.url));

test('kho check: a sound tree is status 0, one that its target does not take status 1', async () => {
  const sound = await exhume('kho', 'check', `${FIXTURES}in-fdt.dtb`);
  assert.equal(sound.status, 0, sound.stderr);
  assert.match(
    sound.stdout,
    /^handover kho-v4: a tree of 353 bytes\n {2}note {5}preserved memory: its map is not there/,
  );
  const same = await exhume('kho', 'check', `${FIXTURES}in-fdt.dtb`, '--target', `${FIXTURES}in-fdt.dtb`, '--json');
  assert.deepEqual([same.status, JSON.parse(same.stdout).passed], [0, true]);
  const refused = await exhume('kho', 'check', `${FIXTURES}in-fdt.dtb`, '--target', SAMPLE_PATH);
  assert.equal(refused.status, 1);
  assert.match(refused.stdout, / {2}refused {2}the tree: the target is a kernel without kexec handover/);
});

test('kho check: of a tree that is cut off not everything was checked: status 1', async () => {
  const { status, stdout } = await exhume('kho', 'check', `${FIXTURES}out-fdt-cut.dtb`, '--json');
  const { passed, complete } = JSON.parse(stdout);
  assert.deepEqual([status, passed, complete], [1, true, false]);
});

test('kho check: without a handover nothing comes over: status 1', async () => {
  const { status, stdout } = await exhume('kho', 'check', SAMPLE_PATH);
  assert.deepEqual([status, stdout], [1, 'no handover\n']);
});

test('only check has a target', async () => {
  const { status, stderr } = await exhume('kho', 'show', `${FIXTURES}in-fdt.dtb`, '--target', SAMPLE_PATH);
  assert.equal(status, 2);
  assert.match(stderr, /EXH_USAGE: --target does not belong to show/);
});

const directory = mkdtempSync(join(tmpdir(), 'exhume-kho-'));
after(() => rmSync(directory, { recursive: true }));

/** An image of 8 MiB with a handover of a memfd in it. */
function image(): string {
  const memory = new SparseMemory();
  const luo = luoWithMemfd(memory);
  memory.at(0x600).fill(1);
  memory.at(0x777).fill(2);
  radixTree(memory, 0x100000, [
    [0x50000, 0],
    [0x600000, 0],
  ]);
  put(memory, 0x50000, tree('kho-v4', { 'preserved-memory-map': u64(0x100000) }, [luo]));
  const bytes = new Uint8Array(8 << 20);
  for (const [pfn, page] of memory.pages) if (typeof page !== 'string') bytes.set(page, pfn * 4096);
  const path = join(directory, 'image');
  writeFileSync(path, bytes);
  return path;
}

test('kho extract writes a file whole, or not at all', async () => {
  const path = image();
  const out = join(directory, 'out');
  const none = await exhume('kho', 'extract', path, 'vm/8', '-o', out, '--raw-memory');
  assert.deepEqual([none.status, existsSync(out)], [2, false]);
  const { status, stdout, stderr } = await exhume('kho', 'extract', path, 'vm/7', '-o', out, '--raw-memory');
  assert.equal(status, 0, stderr);
  assert.equal(stdout, `file vm/7: 5000 bytes, in ${out}\n`);
  assert.deepEqual(readFileSync(out), Buffer.concat([Buffer.alloc(4096, 1), Buffer.alloc(904, 2)]));
  assert.equal((await exhume('kho', 'extract', path, 'vm/7', '--raw-memory')).status, 2);
  const files = await exhume('kho', 'extract', `${FIXTURES}in-fdt.dtb`, 'memblock', '-o', out);
  assert.match(files.stderr, /has no memory to extract from/);
});

test('files of a handover with the memory of a dump: map, extract; not beside another dump', async () => {
  const path = image();
  const copy = join(directory, 'in');
  mkdirSync(copy, { recursive: true });
  writeFileSync(join(copy, 'fdt'), readFileSync(path).subarray(0x50000, 0x51000));
  const bare = await exhume('kho', 'map', copy, '--json');
  assert.equal(JSON.parse(bare.stdout).handovers[0].preserved, null);
  const { status, stdout, stderr } = await exhume('kho', 'map', copy, '--memory', path, '--raw-memory', '--json');
  assert.equal(status, 0, stderr);
  const [handover] = JSON.parse(stdout).handovers;
  assert.deepEqual([handover.direction, handover.preserved.blocks[1].address], ['incoming', '0x600000']);
  const out = join(directory, 'with-memory');
  const extract = await exhume('kho', 'extract', copy, 'vm/7', '-o', out, '--memory', path, '--raw-memory');
  assert.equal(extract.status, 0, extract.stderr);
  assert.equal(readFileSync(out).length, 5000);
  const twice = await exhume('kho', 'show', path, '--memory', path, '--raw-memory');
  assert.match(twice.stderr, /EXH_USAGE: .* has memory of its own/);
  const none = await exhume('kho', 'show', mkdtempSync(join(directory, 'empty-')));
  assert.match(none.stderr, /a directory without fdt/);
});

test('kho show --dts: one tree as source text, of which the same blob is made', async () => {
  const { status, stdout } = await exhume('kho', 'show', '--dts', `${FIXTURES}in-fdt.dtb`);
  assert.deepEqual([status, stdout.slice(0, 10)], [0, '/dts-v1/;\n']);
  assert.deepEqual(writeFdt(parseDts(stdout)), writeFdt(readFdt(readFileSync(`${FIXTURES}in-fdt.dtb`))));
  const two = mkdtempSync(join(directory, 'two-'));
  for (const one of ['in', 'out']) {
    mkdirSync(join(two, one));
    copyFileSync(`${FIXTURES}in-fdt.dtb`, join(two, one, 'fdt'));
  }
  assert.equal((await exhume('kho', 'show', '--dts', two)).status, 2);
  assert.equal((await exhume('kho', 'map', '--dts', `${FIXTURES}in-fdt.dtb`)).status, 2);
});

test('kho map --image draws into a file beside its answer, or as text in place of it', async () => {
  const path = image();
  const svg = join(directory, 'map.svg');
  const beside = await exhume('kho', 'map', path, '--raw-memory', '--image', svg);
  assert.equal(beside.status, 0, beside.stderr);
  assert.match(beside.stdout, /ADDRESS {2,}SIZE/);
  assert.match(readFileSync(svg, 'utf8'), /^<svg .*<\/svg>\n$/s);
  const text = await exhume('kho', 'map', path, '--raw-memory', '--image', '-');
  assert.match(text.stdout, /^memory: 0x0 to 0x7fffff, 8 MiB; a column is 128 KiB\n/m);
  const file = join(directory, 'map.txt');
  await exhume('kho', 'map', path, '--raw-memory', '--image', file);
  assert.equal(readFileSync(file, 'utf8'), text.stdout);
  for (const wrong of [
    ['show', path, '--image', '-'],
    ['map', path, '--image', '-', '--json'],
  ]) {
    assert.equal((await exhume('kho', ...wrong, '--raw-memory')).status, 2);
  }
});
