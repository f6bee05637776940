import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { viewOf } from '../bytes/struct-table.js';
import type { BtReport } from '../report/schema/bt.js';
import { openSubject, requireKernel } from '../report/subject.js';
import { openSample, SAMPLE_PATH } from '../testing/sample.js';
import { runCommandLine } from './program.js';

const FIXTURE = new URL('../../../src/kernel/lines/fixtures/v5.elf', import.meta.url);
/** Where the fixture's code is linked to, and its build id. */
const LINKED = 0xffffffff81001000n;
const directory = mkdtempSync(join(tmpdir(), 'exhume-debug-'));
after(() => rmSync(directory, { recursive: true }));

const { buildId = '', release = '', kaslrOffset = 0n } = requireKernel(openSubject(openSample().container));

async function bt(environment: Record<string, string>, ...args: readonly string[]) {
  let stdout = '';
  let stderr = '';
  const status = await runCommandLine(['bt', SAMPLE_PATH, ...args], {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    environment,
  });
  return { status, stdout, stderr };
}

async function btJson(environment: Record<string, string>, ...args: readonly string[]): Promise<BtReport> {
  return JSON.parse((await bt(environment, '--json', ...args)).stdout);
}

/** The fixture as if it were the sample's kernel: its build id, and code where the caller of the panic is. */
async function forged(): Promise<Uint8Array> {
  const frames = (await btJson({})).stacks[0]?.frames ?? [];
  const address = BigInt(frames.find(({ symbol }) => symbol === 'sysrq_handle_crash')?.address ?? 0);
  const bytes = new Uint8Array(readFileSync(FIXTURE));
  const own = Buffer.from(bytes).indexOf('GNU\0') + 4;
  bytes.set(Buffer.from(buildId, 'hex'), own);
  const linked = new Uint8Array(8);
  viewOf(linked).setBigUint64(0, LINKED, true);
  // The last one is in the line table, behind the headers of program and section.
  const at = Buffer.from(bytes.buffer).indexOf(linked, 0x180);
  viewOf(bytes).setBigUint64(at, address - kaslrOffset - 1n, true);
  return bytes;
}

function put(name: string, bytes: Uint8Array): string {
  const path = join(directory, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

const kernelFile = await forged();

test('a given file tells the line of the call, below its frame as in crash', async () => {
  const path = put('vmlinux-given', kernelFile);
  const { status, stdout, stderr } = await bt({}, '--debug', path);
  assert.equal(stderr, '');
  assert.equal(status, 0);
  assert.match(stdout, /^ #\d \[\w+\] sysrq_handle_crash at \w+\n {4}\/build\/lines\/lines\.c: 6\n #/m);
  const report = await btJson({}, '-l', '--debug', path);
  assert.deepEqual(report.debugFiles, [{ module: null, path, buildId }]);
  const frames = report.stacks[0]?.frames ?? [];
  assert.deepEqual(
    frames.filter(({ line }) => line !== null).map(({ symbol, line }) => [symbol, line]),
    [['sysrq_handle_crash', { file: '/build/lines/lines.c', line: 6 }]],
  );
});

test('unasked, no lines are looked for', async () => {
  const report = await btJson({ DEBUGINFOD_CACHE_PATH: directory });
  assert.equal(report.debugFiles, null);
  assert.ok(report.stacks[0]?.frames.every(({ line }) => line === null));
});

for (const place of [
  `.build-id/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`,
  `boot/vmlinux-${release}`,
  `lib/modules/${release}/vmlinux`,
  `vmlinux-${release}`,
  'vmlinux',
  `${buildId}/debuginfo`,
]) {
  test(`in a directory it is found as ${place.replace(release, 'RELEASE').replaceAll(/[0-9a-f]{38,40}/g, 'BUILDID')}`, async () => {
    const root = `tree-${place.length}-${place.replaceAll('/', '_')}`;
    const path = put(`${root}/${place}`, kernelFile);
    const report = await btJson({}, '--debug', join(directory, root));
    assert.deepEqual(report.debugFiles, [{ module: null, path, buildId }]);
  });
}

test("it is found in debuginfod's cache, wherever that is", async () => {
  const path = put(`home/.cache/debuginfod_client/${buildId}/debuginfo`, kernelFile);
  const home = join(directory, 'home');
  for (const environment of [
    { HOME: home },
    { HOME: '/nonexistent', XDG_CACHE_HOME: join(home, '.cache') },
    { HOME: '/nonexistent', DEBUGINFOD_CACHE_PATH: join(home, '.cache/debuginfod_client') },
  ]) {
    assert.deepEqual((await btJson(environment as Record<string, string>, '-l')).debugFiles?.[0]?.path, path);
  }
});

test('nothing found is an answer in part that says where it was looked for, and what was there', async () => {
  const other = put('other/vmlinux', new Uint8Array(readFileSync(FIXTURE)));
  put(`other/vmlinux-${release}`, new Uint8Array(100));
  const { status, stdout, stderr } = await bt({ HOME: directory }, '--debug', dirname(other));
  assert.equal(status, 1);
  assert.match(stdout, /sysrq_handle_crash at/);
  assert.match(stderr, new RegExp(`EXH_NO_DEBUG_FILE: lines of the kernel: .*${buildId}.*/usr/lib/debug/.build-id/`));
  assert.match(stderr, new RegExp(`${other} \\(build id [0-9a-f]{40}\\)`));
  assert.match(stderr, /\(EXH_\w+\)/);
  assert.match(stderr, /\.cache\/debuginfod_client\//);
});

test('a given file of another build is an error with both build ids', async () => {
  const other = put('another', new Uint8Array(readFileSync(FIXTURE)));
  const { status, stdout, stderr } = await bt({}, '-l', '--debug', other);
  assert.equal(status, 4);
  assert.equal(stdout, '');
  const [, found, expected] =
    /has build id ([0-9a-f]{40}); the kernel in the dump has ([0-9a-f]{40})/.exec(stderr) ?? [];
  assert.equal(expected, buildId);
  assert.notEqual(found, undefined);
});

test('a given file that is not there, is no ELF file, has no build id or no lines is an error', async () => {
  const object = new Uint8Array(readFileSync(new URL('v5.o', FIXTURE)));
  const without = kernelFile.slice();
  // Named otherwise, there is no such section.
  without.set(Buffer.from('x'), Buffer.from(without).indexOf('.debug_line\0'));
  for (const [path, words] of [
    [join(directory, 'missing'), /EXH_IO/],
    [SAMPLE_PATH, /EXH_BAD_HEADER: .* no ELF file/],
    [put('object.o', object), /has no build id/],
    [put('stripped', without), /no line table/],
  ] as const) {
    const { status, stderr } = await bt({}, '--debug', path);
    assert.equal(status, 4, stderr);
    assert.match(stderr, words);
  }
});
