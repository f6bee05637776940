import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isExhumeError } from '../../bytes/errors.js';
import { openDumpFiles } from '../../dump/node.js';
import { openKernels, selectKernel } from '../../kernel/open.js';
import { openMachine } from '../../machine/open.js';
import { writeAsQemu } from '../../testing/qemu-dump.js';
import { openSample } from '../../testing/sample.js';
import { describeDump } from '../describe.js';
import { fixOnly } from './fix-only.js';

const directory = mkdtempSync(join(tmpdir(), 'exhume-fix-'));
after(() => rmSync(directory, { recursive: true }));

test('a real dump with a wrong header becomes one with a right header', async () => {
  const [input, output] = [join(directory, 'wrong'), join(directory, 'fixed')];
  await writeAsQemu(input);
  const container = openDumpFiles([input]);
  const kernel = selectKernel(openKernels(openMachine(container)));
  const described = describeDump(container, kernel);
  assert.ok(described.repairs.length > 5);
  assert.equal(container.memory.ranges().at(-1)?.end, 2 ** 32);
  await fixOnly(input, output, described);
  assert.equal(statSync(output).mode & 0o777, 0o600);
  const fixed = openDumpFiles([output]);
  assert.deepEqual(fixed.damage, []);
  assert.equal(fixed.claimedMachine, 'x86_64');
  assert.equal(fixed.claimedPhysBase, kernel.physBase);
  const again = selectKernel(openKernels(openMachine(fixed)));
  assert.equal(again.release, kernel.release);
  assert.deepEqual(describeDump(fixed, again).repairs, []);
  // 96 MiB, without the firmware at the top of 4 GiB.
  assert.ok((fixed.memory.ranges().at(-1)?.end ?? 0) <= 96 * 2 ** 20);
  const data = readFileSync(input).subarray(1_000_000);
  assert.equal(Buffer.compare(readFileSync(output).subarray(1_000_000), data), 0);
});

test('what cannot be fixed leaves nothing behind', async () => {
  const { container, kernel } = openSample();
  const input = join(directory, 'raw');
  const output = join(directory, 'old');
  writeFileSync(input, new Uint8Array(8192));
  writeFileSync(output, 'old');
  const described = describeDump(container, kernel);
  await assert.rejects(fixOnly(input, output, described), (error) => isExhumeError(error, 'EXH_USAGE'));
  await assert.rejects(fixOnly(join(directory, 'none'), output, described), (error) => isExhumeError(error, 'EXH_IO'));
  assert.equal(readFileSync(output, 'utf8'), 'old');
  assert.deepEqual(
    readdirSync(directory).filter((name) => /partial/.test(name)),
    [],
  );
});
