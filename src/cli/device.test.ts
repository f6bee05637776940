import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { viewOf } from '../bytes/struct-table.js';
import { startMachine } from '../testing/pstore-machine.js';
import { Random } from '../testing/random.js';
import { HANGING } from '../testing/slow-disk.js';
import { exhume } from './testing/exhume.js';

const COMMAND = fileURLToPath(new URL('../../bin/main.cjs', import.meta.url));

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'exhume-device-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

interface Started {
  readonly child: ChildProcess;
  /** Its exit status, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
  /** The next line with this event. */
  until(event: string): Promise<Record<string, unknown>>;
}

/** The command as it is installed. */
function start(t: TestContext, words: readonly string[], env: NodeJS.ProcessEnv = process.env): Started {
  const child = spawn(process.execPath, [COMMAND, 'device', ...words], { stdio: ['ignore', 'pipe', 'inherit'], env });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on('exit', (status, signal) => resolve(signal ?? status));
  });
  const until = async (event: string) => {
    for (;;) {
      const { value, done } = await lines.next();
      assert.ok(!done, `it ends without ${event}`);
      const line = JSON.parse(value);
      if (line.event === event) return line;
    }
  };
  return { child, ended, until };
}

const WRITE = { command: 3, type: 1 };
const SIZE = 8000;

/** A record that tells its number. */
function numbered(number: number): Uint8Array {
  const data = new Uint8Array(SIZE).fill(number & 0xff);
  viewOf(data).setUint32(0, number, true);
  return data;
}

test('killed at any moment: what was confirmed is there, all that is there is whole, and ids go on', async (t) => {
  const dir = directory(t);
  const socket = join(dir, 'web.sock');
  const records = join(dir, 'records/web');
  const random = new Random(9);
  const words = [
    '--dir',
    join(dir, 'records'),
    '--socket',
    socket,
    '--keep-first',
    '100000',
    '--rate',
    '1G',
    '--burst',
    '1G',
  ];
  const confirmed: number[] = [];
  let sent = 0;
  let lastId = 0;
  for (let round = 0; round < 4; round++) {
    const { child, ended, until } = start(t, [...words, '--guest-quota', '1G']);
    await until('started');
    if (round > 0) await checkRecords(records, confirmed, lastId);
    lastId = Math.max(lastId, ...idsIn(records));
    const { driver, client } = await startMachine(t, socket);
    const cut = 10 + random.below(30);
    const writing = (async () => {
      for (let count = 0; ; count++) {
        if (count === cut) setTimeout(() => child.kill('SIGKILL'), random.below(8));
        const number = ++sent;
        if ((await driver.write(WRITE, numbered(number))) === 0) confirmed.push(number);
      }
    })();
    await assert.rejects(writing, /closed the connection/);
    client.socket.destroy();
    assert.equal(await ended, 'SIGKILL');
  }
  assert.ok(confirmed.length > 20, `${confirmed.length} records`);
  const { child, ended, until } = start(t, words);
  await until('started');
  await checkRecords(records, confirmed, lastId);
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
});

function idsIn(records: string): number[] {
  return readdirSync(records)
    .flatMap((name) => /^dmesg-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number);
}

/** @param before the last id of the round before: what was confirmed since has larger ones */
async function checkRecords(records: string, confirmed: readonly number[], before: number): Promise<void> {
  const ids = idsIn(records).sort((a, b) => a - b);
  const numbers = ids.map((id) => {
    const bytes = readFileSync(join(records, `dmesg-${id}`));
    assert.equal(bytes.length, SIZE, `dmesg-${id}`);
    const number = bytes.readUInt32LE(0);
    assert.deepEqual(new Uint8Array(bytes), numbered(number), `dmesg-${id}`);
    const description = JSON.parse(readFileSync(join(records, `dmesg-${id}.json`), 'utf8'));
    assert.equal(description.sha256, createHash('sha256').update(bytes).digest('hex'));
    assert.deepEqual([description.id, description.size], [id, SIZE]);
    return number;
  });
  assert.deepEqual(
    numbers,
    [...numbers].sort((a, b) => a - b),
    'ids rise with time',
  );
  assert.ok(Math.max(...ids) >= before);
  const kept = new Set(numbers);
  assert.deepEqual(
    confirmed.filter((number) => !kept.has(number)),
    [],
    'confirmed, and not there',
  );
  assert.ok(readdirSync(records).every((name) => !name.includes('partial')));
}

test('a disk that hangs delays the records and nothing else; SIGHUP serves guests of the file, SIGTERM ends it', async (t) => {
  const dir = directory(t);
  const [config, hangs, preload] = ['device.json', 'hangs', 'preload.cjs'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  const configure = (...guests: string[]) => {
    const named = Object.fromEntries(guests.map((guest) => [guest, {}]));
    writeFileSync(config, JSON.stringify({ dir: join(dir, 'records'), socket: `${dir}/{guest}.sock`, guests: named }));
  };
  configure('a');
  writeFileSync(preload, HANGING);
  const env = { ...process.env, HANGS: hangs, NODE_OPTIONS: `--require ${preload}` };
  const { child, ended, until } = start(t, ['--config', config, '--log-level', 'debug'], env);
  await until('started');
  const { driver } = await startMachine(t, join(dir, 'a.sock'));
  writeFileSync(hangs, '');
  let confirmed = false;
  const write = driver.write(WRITE, numbered(1)).then((result) => {
    confirmed = true;
    return result;
  });
  for (let times = 0; times < 300; times++) assert.equal(await driver.virtio.status(), 15);
  assert.ok(!confirmed);
  rmSync(hangs);
  assert.equal(await write, 0);
  assert.deepEqual((await until('described'))['file'], 'dmesg-1');
  configure('a', 'b');
  child.kill('SIGHUP');
  assert.equal((await until('listening'))['guest'], 'b');
  await until('reloaded');
  writeFileSync(config, '{');
  child.kill('SIGHUP');
  await until('reload-failed');
  assert.equal(await driver.write(WRITE, numbered(2)), 0);
  child.kill('SIGTERM');
  assert.equal((await until('stopped'))['finished'], true);
  assert.equal(await ended, 0);
  assert.deepEqual(idsIn(join(dir, 'records/a')).sort(), [1, 2]);
});

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
