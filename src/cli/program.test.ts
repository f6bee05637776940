import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
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
import { fileURLToPath } from 'node:url';
import { SAMPLE_PATH } from '../testing/sample.js';
import { runCommandLine } from './program.js';
import { Session } from './session.js';
import { exhume } from './testing/exhume.js';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'exhume-cli-'));
after(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

test('a dump alone is a report', async () => {
  const { status, stdout, stderr } = await exhume(SAMPLE_PATH);
  assert.equal(status, 0, stderr);
  assert.equal(stderr, '');
  assert.match(stdout, /^Linux 7\.2\.12\+deb14-cloud-amd64 died: /);
  assert.equal((await exhume('report', SAMPLE_PATH)).stdout, stdout);
});

test('shared options stand before or after the command', async () => {
  const before = await exhume('--json', 'sym', SAMPLE_PATH, 'jiffies');
  const behind = await exhume('sym', SAMPLE_PATH, 'jiffies', '--json');
  assert.equal(before.stdout, behind.stdout);
  assert.equal(JSON.parse(before.stdout).schema, 'exhume-sym/1');
});

test('what is not there is an answer in part', async () => {
  assert.equal((await exhume('sym', SAMPLE_PATH, 'jiffies', 'nosuch')).status, 1);
  assert.equal((await exhume('rd', SAMPLE_PATH, '0')).status, 1);
  assert.equal((await exhume('vtop', SAMPLE_PATH, '0')).status, 1);
  assert.equal((await exhume('sym', SAMPLE_PATH, 'jiffies')).status, 0);
});

test('wrong usage says what would be right', async () => {
  const cases: [string[], RegExp][] = [
    [[], /name a dump/],
    [['rd', SAMPLE_PATH], /missing required argument 'address'/],
    [['report', SAMPLE_PATH, '--nosuch'], /unknown option '--nosuch'/],
    [['sym', SAMPLE_PATH], /name symbols or addresses/],
    [['sym', SAMPLE_PATH, '--grep', '('], /not a regular expression/],
    [['sym', SAMPLE_PATH, '--list', 'jiffies'], /one of them/],
    [['rd', SAMPLE_PATH, '-p', '-u', '0'], /physical or user-space, not both/],
    [['rd', SAMPLE_PATH, '-8', '-16', '0'], /cannot be used with/],
    [['rd', SAMPLE_PATH, 'jiffies', 'many'], /not a whole number/],
    [['vtop', SAMPLE_PATH, '1 2'], /neither a symbol nor/],
    [['regs', SAMPLE_PATH, '-c', '2'], /no CPU 2; it has 2/],
    [['regs', SAMPLE_PATH, '--kernel', '1'], /no kernel 1/],
    [['log', SAMPLE_PATH, '--level', 'loud'], /loud is no log level/],
    [['report', SAMPLE_PATH, '--color', 'blue'], /Allowed choices are auto, always, never/],
    [['report', SAMPLE_PATH, SAMPLE_PATH], /./],
  ];
  for (const [words, message] of cases) {
    const { status, stdout, stderr } = await exhume(...words);
    assert.equal(status, 2, `${words.join(' ')}: ${stderr}`);
    assert.match(stderr, /^exhume: EXH_USAGE: |^Usage: /, words.join(' '));
    assert.match(stderr, message, words.join(' '));
    assert.equal(stdout, '', words.join(' '));
  }
});

test('a file that is no dump, and one that is not there', async () => {
  const text = await exhume(file('text', 'not a dump\n'.repeat(1000)));
  assert.equal(text.status, 3);
  assert.match(text.stderr, /^exhume: EXH_NOT_A_DUMP: .*\n {2}if it is a plain image.*: --raw-memory\n$/);
  const none = await exhume(join(directory, 'none'));
  assert.equal(none.status, 4);
  assert.match(none.stderr, /^exhume: EXH_IO: .*\n {2}there is no such file, nor a command of that name/);
});

test('with --json errors are documents on stdout too', async () => {
  const { status, stdout, stderr } = await exhume('--json', file('empty', ''));
  assert.equal(status, 3);
  const { schema, error } = JSON.parse(stdout);
  assert.equal(schema, 'exhume-error/1');
  assert.equal(error.code, 'EXH_NOT_A_DUMP');
  assert.ok(stderr.includes(error.message));
  assert.equal(JSON.parse((await exhume('rd', '--json')).stdout).error.code, 'EXH_USAGE');
});

test('a dump that is cut off is answered in part, and the report says so', async () => {
  const bytes = readFileSync(SAMPLE_PATH);
  const cut = await exhume(file('cut', bytes.subarray(0, bytes.length >> 1)));
  assert.equal(cut.status, 1);
  assert.match(cut.stdout, /\bincomplete\n[\s\S]*\nDamage {2}this answer is a partial one\n/);
  // In makedumpfile's flattened form: a header, one record of all bytes, and no end record.
  const head = Buffer.alloc(4096 + 16);
  head.write('makedumpfile');
  head.writeBigUInt64BE(1n, 16);
  head.writeBigUInt64BE(1n, 24);
  head.writeBigUInt64BE(BigInt(bytes.length), 4096 + 8);
  const path = file('flattened', Buffer.concat([head, bytes]));
  const { status, stdout } = await exhume(path);
  assert.equal(status, 1);
  assert.match(stdout, /^Linux 7\.2\.12.* died: sysrq/);
  assert.match(stdout, /, incomplete\n[\s\S]*\nDamage {2}this answer is a partial one\n/);
  const json = JSON.parse((await exhume(path, '--json')).stdout);
  assert.deepEqual([json.complete, json.file.incomplete, json.damage.length], [false, true, 1]);
});

test('-o leaves a whole file, or none', async () => {
  const path = join(directory, 'answer');
  const { status, stdout } = await exhume('sym', SAMPLE_PATH, 'jiffies', '-o', path);
  assert.deepEqual([status, stdout], [0, '']);
  assert.match(readFileSync(path, 'utf8'), /^[0-9a-f]{16} \(.\) jiffies/);
  assert.equal(statSync(path).mode & 0o777, 0o666 & ~process.umask());
  const kept = readFileSync(path);
  assert.equal((await exhume('sym', SAMPLE_PATH, '--grep', '(', '-o', path)).status, 2);
  assert.deepEqual(readFileSync(path), kept);
  assert.equal((await exhume('sym', SAMPLE_PATH, 'jiffies', '-o', join(directory, 'no/where'))).status, 4);
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.includes('partial')),
    [],
  );
});

test('-o writes through a symbolic link, and into devices', async () => {
  const target = file('target', 'old');
  const link = join(directory, 'link');
  symlinkSync(target, link);
  assert.equal((await exhume('sym', SAMPLE_PATH, 'jiffies', '-o', link)).status, 0);
  assert.match(readFileSync(target, 'utf8'), /jiffies/);
  assert.equal((await exhume('sym', SAMPLE_PATH, 'jiffies', '-o', '/dev/null')).status, 0);
  assert.ok(existsSync('/dev/null'));
});

test('colours only when they are wanted', async () => {
  const escapes = (text: string) => text.includes('\x1b[');
  assert.equal(escapes((await exhume(SAMPLE_PATH)).stdout), false);
  assert.equal(escapes((await exhume(SAMPLE_PATH, '--color', 'always')).stdout), true);
  const terminal = async (environment: Record<string, string>) => {
    const written: string[] = [];
    const stdout = { isTTY: true, columns: 80, write: (text: string) => written.push(text) };
    await runCommandLine([SAMPLE_PATH], { stdout, stderr: stdout, environment });
    return escapes(written.join(''));
  };
  assert.equal(await terminal({}), true);
  assert.equal(await terminal({ NO_COLOR: '1' }), false);
});

test('text that is put out as it is cannot command a terminal; elsewhere it stays as it is', async () => {
  const shown = async (isTTY: boolean): Promise<string> => {
    const written: string[] = [];
    const stdout = { isTTY, write: (text: string) => written.push(text) };
    const model = { complete: true, damage: [] };
    const pieces = () => ['a comm of \x1b[2J\n'];
    await new Session({ stdout, stderr: stdout, environment: {} }).answer({}, async () => ({
      model,
      lines: pieces,
      pieces,
    }));
    return written.join('');
  };
  assert.equal(await shown(true), 'a comm of \\x1b[2J\n');
  assert.equal(await shown(false), 'a comm of \x1b[2J\n');
});

test('crash is understood where it writes widths with one dash', async () => {
  assert.equal(
    (await exhume('rd', SAMPLE_PATH, '-16', 'linux_banner', '2')).stdout,
    (await exhume('rd', SAMPLE_PATH, '--16', 'linux_banner', '2')).stdout,
  );
});

test('log has the formats of dmesg', async () => {
  const lines = async (...options: string[]) =>
    (await exhume('log', SAMPLE_PATH, ...options)).stdout.trimEnd().split('\n');
  assert.match((await lines())[0] ?? '', /^\[ {4}0\.000000\] Linux version 7\.2\.12/);
  assert.match((await lines('--raw'))[0] ?? '', /^<5>\[ {4}0\.000000\] Linux version/);
  assert.match((await lines('--ctime'))[0] ?? '', /^\[\w{3} Nov 20 11:59:0\d 2026\] Linux version/);
  assert.match(
    (await lines('--level', 'emerg')).join('\n'),
    /^\[.*\] Kernel panic - not syncing: sysrq triggered crash/,
  );
  assert.equal((await lines('--tail', '3')).length, 3);
});

test('version and help go to stdout and are no error', async () => {
  assert.match((await exhume('--version')).stdout, /^\d+\.\d+\.\d+\n$/);
  for (const words of [['--help'], ['help'], ['help', 'rd'], ['rd', '--help'], ['report', '-h']]) {
    const { status, stdout, stderr } = await exhume(...words);
    assert.deepEqual([status, stderr], [0, ''], words.join(' '));
    assert.match(stdout, /^Usage: exhume[\s\S]*\nExamples:\n {2}exhume /, words.join(' '));
  }
});

test('as a process: exit status, and a reader that leaves early is no error', () => {
  assert.equal(spawnSync(process.execPath, [MAIN, 'sym', SAMPLE_PATH, 'nosuch']).status, 1);
  const shell = spawnSync(
    'bash',
    ['-c', `"$0" "$1" sym --list "$2" | head -1; exit \${PIPESTATUS[0]}`, process.execPath, MAIN, SAMPLE_PATH],
    {
      encoding: 'utf8',
    },
  );
  assert.equal(shell.status, 0);
  assert.equal(shell.stderr, '');
  assert.equal(shell.stdout.trim().split('\n').length, 1);
});
