import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { exhume } from './testing/exhume.js';

const COMMAND = fileURLToPath(new URL('../../bin/main.cjs', import.meta.url));

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'exhume-device-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

test('it tells when the sockets are ready, and a signal ends it in order', async (t) => {
  const dir = directory(t);
  const sockets = ['one.sock', 'two.sock'].map((name) => join(dir, name));
  const words = ['device', '--dir', join(dir, 'records'), ...sockets.flatMap((socket) => ['--socket', socket])];
  const child = spawn(process.execPath, [COMMAND, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const ended = new Promise((resolve) => child.on('exit', (status) => resolve(status)));
  const told: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const { time, level, guest, event } = JSON.parse(line);
    assert.ok(Number.isFinite(Date.parse(time)));
    assert.equal(level, 'info');
    told.push(guest === undefined ? event : `${event} ${guest}`);
    if (event === 'started') child.kill('SIGTERM');
  }
  assert.equal(await ended, 0);
  assert.deepEqual(told.slice(0, 2).sort(), ['listening one', 'listening two']);
  assert.deepEqual(told.slice(2), ['started', 'stopping', 'stopped']);
  assert.ok(existsSync(join(dir, 'records', 'one')) && sockets.every((socket) => !existsSync(socket)));
});

test('refused: two sockets of one guest, a name that is none, a buffer that is none, a directory that cannot be', async (t) => {
  const dir = directory(t);
  const run = (...words: string[]) => exhume('device', '--dir', join(dir, 'records'), ...words);
  for (const [status, words] of [
    [2, []],
    [2, ['--socket', join(dir, 'a/x.sock'), '--socket', join(dir, 'b/x')]],
    [2, ['--socket', join(dir, '.sock')]],
    [2, ['--socket', join(dir, 'x.sock'), '--buffer-size', '100']],
    [4, ['--socket', join(dir, 'nowhere/x.sock')]],
  ] as const) {
    const outcome = await run(...words);
    assert.equal(outcome.status, status, `${words.join(' ')}: ${outcome.stderr}`);
    assert.equal(outcome.stdout, '');
  }
});
