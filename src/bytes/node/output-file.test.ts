import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Random } from '../../testing/random.js';
import { isExhumeError } from '../errors.js';
import { abortOutputs, OutputFile } from './output-file.js';
import { PipeSink } from './pipe-sink.js';

const directory = mkdtempSync(join(tmpdir(), 'exhume-output-'));
after(() => rmSync(directory, { recursive: true }));

let made = 0;
/** A directory of its own for each test. */
function place(): string {
  const path = join(directory, String(made++));
  mkdirSync(path);
  return path;
}

const code = (expected: Parameters<typeof isExhumeError>[1]) => (error: unknown) =>
  isExhumeError(error, expected as 'EXH_IO');

test('a file stands under its name when it is committed, and not before', () => {
  const at = place();
  const path = join(at, 'out');
  const file = OutputFile.create(path);
  file.write(8192, Uint8Array.of(1, 2, 3));
  file.write(0, Uint8Array.of(9));
  file.extend(10_000);
  file.extend(100);
  const [temporary = '', ...others] = readdirSync(at);
  assert.match(temporary, /^out\.exhume-partial-[0-9a-f]{8}$/);
  assert.deepEqual(others, []);
  file.commit();
  file.abort();
  assert.deepEqual(readdirSync(at), ['out']);
  const bytes = readFileSync(path);
  assert.equal(bytes.length, 10_000);
  assert.deepEqual([bytes[0], bytes[1], bytes[8191], bytes[8192], bytes[8194], bytes[9999]], [9, 0, 0, 1, 3, 0]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('an aborted file leaves the old one, and nothing else', () => {
  const at = place();
  const path = join(at, 'out');
  writeFileSync(path, 'old');
  const file = OutputFile.create(path);
  file.write(0, Uint8Array.of(1));
  OutputFile.create(path).write(0, Uint8Array.of(2));
  file.abort();
  abortOutputs();
  assert.deepEqual(readdirSync(at), ['out']);
  assert.equal(readFileSync(path, 'utf8'), 'old');
});

test('a link goes on to lead to the file; a directory or a device is not replaced', () => {
  const at = place();
  mkdirSync(join(at, 'real'));
  writeFileSync(join(at, 'real', 'file'), 'old');
  symlinkSync('real/file', join(at, 'link'));
  const file = OutputFile.create(join(at, 'link'));
  file.write(0, new TextEncoder().encode('new'));
  file.commit();
  assert.equal(readFileSync(join(at, 'real', 'file'), 'utf8'), 'new');
  assert.deepEqual(readdirSync(at), ['link', 'real']);
  assert.throws(() => OutputFile.create(at), code('EXH_USAGE'));
  assert.throws(() => OutputFile.create('/dev/null'), code('EXH_USAGE'));
  assert.throws(() => OutputFile.create(join(at, 'none', 'file')), code('EXH_IO'));
});

test('a name as long as names may be has a temporary one, too', () => {
  const at = place();
  const name = '☃'.repeat(85);
  const file = OutputFile.create(join(at, name));
  file.commit();
  assert.deepEqual(readdirSync(at), [name]);
});

const MODULE = new URL('./output-file.js', import.meta.url).href;

/** Writes 64 KiB at a time, and goes on when told to fail. */
const WRITES = `
  const { OutputFile } = await import(${JSON.stringify(MODULE)});
  const file = OutputFile.create(process.argv[1]);
  const bytes = new Uint8Array(65536).fill(7);
  console.log('begun');
  try {
    for (let i = 0; i < 256; i++) file.write(i * bytes.length, bytes);
    file.commit();
  } catch (error) {
    file.abort();
    console.log(error.code, error.data.hint);
  }
`;

test('where no more can be written, that is EXH_NO_SPACE, and the old file stays', () => {
  const at = place();
  const path = join(at, 'out');
  writeFileSync(path, 'old');
  // A limit of 1 MiB on the size of files, with the signal ignored that would end the process.
  const script = 'ulimit -f 2048; trap "" XFSZ; exec "$0" "$@"';
  const args = ['-c', script, process.execPath, '--input-type=module', '-e', WRITES, path];
  const { stdout } = spawnSync('sh', args, { encoding: 'utf8' });
  assert.match(stdout, /EXH_NO_SPACE make room/);
  assert.deepEqual(readdirSync(at), ['out']);
  assert.equal(readFileSync(path, 'utf8'), 'old');
});

test('killed at any moment, the old file stays, or the new one is whole', async () => {
  const random = new Random(7);
  for (let round = 0; round < 5; round++) {
    const at = place();
    const path = join(at, 'out');
    writeFileSync(path, 'old');
    const child = spawn(process.execPath, ['--input-type=module', '-e', WRITES, path]);
    const ended = new Promise((end) => child.once('close', end));
    await new Promise((begun) => child.stdout.once('data', begun));
    await new Promise((passed) => setTimeout(passed, random.below(30)));
    child.kill('SIGKILL');
    await ended;
    const content = readFileSync(path);
    if (content.length === 3) assert.equal(content.toString(), 'old');
    else assert.ok(content.length === 256 * 65536 && content.every((byte) => byte === 7));
    for (const name of readdirSync(at)) assert.match(name, /^out(\.exhume-partial-[0-9a-f]{8})?$/);
  }
});

test('a pipe takes bytes in order; a full medium and a broken one are told apart', () => {
  const path = join(place(), 'out');
  const descriptor = openSync(path, 'w');
  const sink = new PipeSink(descriptor, 'out');
  sink.append(Uint8Array.of(1, 2));
  sink.append(Uint8Array.of(3));
  closeSync(descriptor);
  assert.deepEqual([...readFileSync(path)], [1, 2, 3]);
  assert.throws(() => sink.append(Uint8Array.of(4)), code('EXH_IO'));
  const full = openSync('/dev/full', 'w');
  assert.throws(() => new PipeSink(full, 'full').append(Uint8Array.of(1)), code('EXH_NO_SPACE'));
  closeSync(full);
});
