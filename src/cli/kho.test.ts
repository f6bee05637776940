import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
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

test('only check has a target', async () => {
  const { status, stderr } = await exhume('kho', 'show', `${FIXTURES}in-fdt.dtb`, '--target', SAMPLE_PATH);
  assert.equal(status, 2);
  assert.match(stderr, /EXH_USAGE: show has no target/);
});
