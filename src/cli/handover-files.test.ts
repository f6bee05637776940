import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tree, u64 } from '../handover/testing/build.js';
import { readHandoverFiles, readLiveFiles } from './handover-files.js';
import { exhume } from './testing/exhume.js';

const FIXTURES = fileURLToPath(new URL('../../../src/handover/fixtures/', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'exhume-sys-'));
after(() => rmSync(root, { recursive: true }));

/** A /sys of these files below a directory of its own. */
function system(name: string, files: Readonly<Record<string, string | Uint8Array>>): string {
  const directory = join(root, name);
  for (const [path, content] of Object.entries(files)) {
    const file = join(directory, path);
    mkdirSync(dirname(file), { recursive: true });
    if (typeof content === 'string' && content.startsWith(FIXTURES)) cpSync(content, file);
    else writeFileSync(file, content);
  }
  return directory;
}

const whole = system('whole', {
  'sys/kernel/debug/kho/in/fdt': `${FIXTURES}in-fdt.dtb`,
  'sys/kernel/debug/kho/in/sub_fdts/memblock': `${FIXTURES}memblock.dtb`,
  'sys/kernel/debug/kho/in/sub_fdts/kho_test': `${FIXTURES}kho_test.dtb`,
  'sys/kernel/debug/kho/in/sub_fdts/kexec-metadata': `${FIXTURES}kexec-metadata.bin`,
  'sys/kernel/debug/kho/out/fdt': `${FIXTURES}out-fdt-cut.dtb`,
  'sys/kernel/debug/kho/out/scratch_phys': '0x3f000000\n0x20000000\n',
  'sys/kernel/debug/kho/out/scratch_len': '0x1000000\n0x4000000\n',
  'sys/kernel/boot_params/setup_data/2/type': '0x1\n',
  'sys/kernel/boot_params/setup_data/10/type': '0xa\n',
  'sys/kernel/boot_params/setup_data/10/data': u64(0x3e5000, 4096, 0x7000, 32),
});

test('the files of a running system are read from wherever its root is', () => {
  const { told, silent } = readLiveFiles(whole);
  assert.deepEqual(
    told.map(({ place, direction, tree: bytes, address, scratch }) => [
      place.slice(whole.length),
      direction,
      bytes?.length,
      address,
      scratch?.length,
    ]),
    [
      ['/sys/kernel/debug/kho/in', 'incoming', 353, undefined, 0],
      ['/sys/kernel/debug/kho/out', 'outgoing', 233, undefined, 2],
      ['/sys/kernel/boot_params/setup_data/10', 'incoming', undefined, 0x3e5000, undefined],
    ],
  );
  assert.deepEqual(silent, []);
});

test('of a system that hands nothing over every place says so', () => {
  const { told, silent } = readLiveFiles(system('none', { 'sys/kernel/debug/sched/features': 'X' }));
  assert.deepEqual(told, []);
  assert.deepEqual(
    silent.map(({ why }) => why.replace(/:.*/, '')),
    ['not there', 'not there'],
  );
});

test('a copy of /sys, or of a part of it, is a handover; a directory of something else is none', async () => {
  for (const path of ['', 'sys', 'sys/kernel', 'sys/kernel/debug/kho', 'sys/kernel/debug/kho/in']) {
    const { status, stdout, stderr } = await exhume('kho', 'show', join(whole, path), '--json');
    const [incoming] = JSON.parse(stdout).handovers;
    assert.equal(incoming.users.length, 3, `${path}: ${stderr}`);
    // The outgoing tree is cut off.
    assert.equal(status, path.endsWith('in') ? 0 : 1, path);
  }
  assert.equal(readHandoverFiles(FIXTURES), undefined);
  assert.equal(readHandoverFiles(system('other', { 'in/something': 'else' })), undefined);
});

test('setup_data alone names a tree in the memory of a dump', async () => {
  const bytes = new Uint8Array(1 << 20);
  bytes.set(tree('kho-v4', { 'preserved-memory-map': u64(0x10000) }), 0x40000);
  bytes.set(u64(0x80000, 0x20000), 0x7000);
  const image = join(root, 'image');
  writeFileSync(image, bytes);
  const entry = 'boot_params/setup_data/0';
  const copy = system('setup', { [`${entry}/type`]: '0xa\n', [`${entry}/data`]: u64(0x40000, 4096, 0x7000, 16) });
  const { status, stdout, stderr } = await exhume('kho', 'show', copy, '--memory', image, '--raw-memory');
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^incoming handover kho-v4: a tree of \d+ bytes at 0x40000\n {2}scratch {4}0x80000, 128 KiB\n/);
  const bare = await exhume('kho', 'show', copy);
  assert.equal(
    bare.stdout,
    `no handover\nnothing from ${copy}/${entry}: a tree at 0x40000, which memory does not have\n`,
  );
});
