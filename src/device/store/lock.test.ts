import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isExhumeError } from '../../bytes/errors.js';
import { lockStore } from './lock.js';

const LOCK = new URL('./lock.js', import.meta.url).href;
/** Says `held`, and holds it; or says why not. */
const HOLDER = `
  const { lockStore } = await import(${JSON.stringify(LOCK)});
  try {
    await lockStore(process.argv[1]);
    console.log('held');
    setInterval(() => {}, 1000);
  } catch ({ code }) {
    console.log(code);
  }
`;

function place(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'exhume-lock-'));
  t.after(() => rmSync(dir, { recursive: true }));
  // Longer than the path of any socket may be.
  return join(dir, 'x'.repeat(120));
}

async function holder(t: TestContext, dir: string): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', HOLDER, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const said = await new Promise<string>((resolve) =>
    child.stdout.once('data', (text) => resolve(String(text).trim())),
  );
  return { child, said };
}

const inUse = (error: unknown) => isExhumeError(error, 'EXH_IO') && /in use/.test(error.message);

test('one process at a time: another one, and the same one again, are refused until it is given back', async (t) => {
  const dir = place(t);
  const lock = await lockStore(dir);
  await assert.rejects(lockStore(dir), inUse);
  assert.equal((await holder(t, dir)).said, 'EXH_IO');
  lock.release();
  assert.deepEqual(readdirSync(dir), []);
  assert.equal((await holder(t, dir)).said, 'held');
  await assert.rejects(lockStore(dir), inUse);
});

test('what a killed process held is taken over, by one of those who try at the same time', async (t) => {
  const dir = place(t);
  const { child } = await holder(t, dir);
  const ended = new Promise((resolve) => child.on('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  const tries = await Promise.all([1, 2, 3, 4].map(() => holder(t, dir)));
  assert.deepEqual(tries.map(({ said }) => said).sort(), ['EXH_IO', 'EXH_IO', 'EXH_IO', 'held']);
});
