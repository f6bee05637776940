import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Compile } from 'typebox/schema';
import { HostStore } from '../pstore/node/store.js';
import { SCHEMAS } from '../report/schema/index.js';
import { exhume } from './testing/exhume.js';

const FIXTURE = fileURLToPath(new URL('../../../src/pstore/fixtures/erst-7.2/', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'exhume-pstore-cli-'));
after(() => rmSync(directory, { recursive: true }));

let made = 0;
/** A directory with the records of a guest, as they would be under /sys/fs/pstore if the kernel could not decompress them. */
function copied(): string {
  const at = join(directory, String(made++));
  mkdirSync(at);
  for (const name of records()) cpSync(FIXTURE + name, join(at, name));
  return at;
}

const records = (): string[] => readdirSync(FIXTURE).filter((name) => name.endsWith('.enc.z'));

/** The same records in a host's store, and another guest's. */
function stored(): string {
  const at = join(directory, String(made++));
  const host = HostStore.open(at);
  for (const name of records())
    host.guest('web').write({ type: 1, compressed: true, data: readFileSync(FIXTURE + name) });
  host.guest('db').write({ type: 0, compressed: false, data: new TextEncoder().encode('any\u001b[2J words') });
  return at;
}

function assertValid(schema: string, answer: unknown): void {
  const [valid, errors] = Compile(JSON.parse(JSON.stringify(SCHEMAS[schema])) as object).Errors(answer);
  assert.ok(valid, JSON.stringify(errors));
}

async function json(schema: string, ...words: string[]) {
  const { status, stdout } = await exhume(...words, '--json');
  const answer = JSON.parse(stdout);
  assertValid(schema, answer);
  return { status, answer };
}

test('ls tells what the records of a store are, and the descriptions beside them follow their schema', async () => {
  const at = stored();
  const { status, answer } = await json('pstore-ls', 'pstore', 'ls', at);
  assert.equal(status, 0);
  const rows = answer.records.map(({ name, reason, count, part }: Record<string, unknown>) => [
    name,
    reason,
    count,
    part,
  ]);
  assert.deepEqual(rows, [
    ['db/unknown-1', null, null, null],
    ['web/dmesg-1.enc.z', 'Oops', 1, 1],
    ['web/dmesg-2.enc.z', 'Oops', 1, 2],
    ['web/dmesg-3.enc.z', 'Oops', 1, 3],
    ['web/dmesg-4.enc.z', 'Panic', 2, 1],
    ['web/dmesg-5.enc.z', 'Panic', 2, 2],
    ['web/dmesg-6.enc.z', 'Panic', 2, 3],
  ]);
  for (const path of ['db/unknown-1.json', 'web/dmesg-6.json'])
    assertValid('pstore-record', JSON.parse(readFileSync(join(at, path), 'utf8')));
  assert.match(
    (await exhume('pstore', 'ls', at)).stdout,
    /^web\/dmesg-5\.enc\.z +\S+Z +4629 +13267 +deflate +Panic#2 part 2$/m,
  );
});

test('cat joins the parts of each dump, from a store as from a copied directory', async () => {
  const { answer } = await json('pstore-cat', 'pstore', 'cat', copied());
  const web = join(stored(), 'web');
  const { answer: own } = await json('pstore-cat', 'pstore', 'cat', web);
  const texts = (from: typeof answer) => from.texts.map(({ title, text }: Record<string, string>) => [title, text]);
  assert.deepEqual(texts(answer), texts(own));
  assert.deepEqual(own.texts[1].records, ['dmesg-6.enc.z', 'dmesg-5.enc.z', 'dmesg-4.enc.z']);
  const panic = await exhume('pstore', 'cat', web, 'dmesg-6', 'dmesg-5.enc.z', 'dmesg-4');
  assert.ok(panic.stdout.startsWith('<5>[    0.000000] Linux version 7.2'));
  assert.equal(panic.status, 0);
});

test('cat tells what is missing, and shows control characters instead of sending them to a terminal', async () => {
  const at = stored();
  const part = await exhume('pstore', 'cat', join(at, 'web'), 'dmesg-6');
  assert.equal(part.status, 1);
  assert.match(part.stderr, /EXH_TRUNCATED: dmesg-6\.enc\.z: Panic#2: part 2, 1 is not there/);
  const other = await exhume('pstore', 'cat', join(at, 'db/unknown-1'));
  assert.equal(other.stdout, 'any\\x1b[2J words\n');
  writeFileSync(join(at, 'web/dmesg-3.enc.z'), readFileSync(join(at, 'web/dmesg-3.enc.z')).subarray(0, 300));
  const damaged = await exhume('pstore', 'cat', join(at, 'web/dmesg-3.enc.z'));
  assert.match(damaged.stdout, /^<5>\[ {4}0\.000000\] Linux version 7\.2/);
  assert.match(damaged.stderr, /EXH_CODEC: dmesg-3\.enc\.z: its compressed data is damaged/);
});

test('extract writes each text whole, under a name that no guest chose', async () => {
  const to = join(directory, 'texts');
  const { status, answer } = await json('pstore-change', 'pstore', 'extract', stored(), '--to', to);
  assert.equal(status, 0);
  const names = ['web/dmesg-1.enc.z.txt', 'web/dmesg-4.enc.z.txt', 'db/unknown-1.txt'];
  assert.deepEqual(
    answer.files,
    names.map((name) => join(to, name)),
  );
  assert.match(
    readFileSync(join(to, 'web/dmesg-4.enc.z.txt'), 'utf8'),
    /Kernel panic - not syncing: sysrq triggered crash/,
  );
  assert.equal((await exhume('pstore', 'extract', copied())).status, 2);
});

test('rm removes what it is told to, with its description, and no number comes back', async () => {
  const at = stored();
  assert.equal((await exhume('pstore', 'rm', at)).status, 2);
  assert.equal((await exhume('pstore', 'rm', at, 'web/dmesg-1', '--all')).status, 2);
  assert.equal((await exhume('pstore', 'rm', at, 'web/dmesg-9')).status, 2);
  const { answer } = await json('pstore-change', 'pstore', 'rm', at, 'web/dmesg-6');
  assert.deepEqual([answer.action, answer.files], ['removed', ['web/dmesg-6.enc.z']]);
  assert.ok(!readdirSync(join(at, 'web')).some((name) => name.startsWith('dmesg-6')));
  await exhume('pstore', 'rm', at, '--all');
  assert.deepEqual(readdirSync(join(at, 'web')), ['last-id']);
  const data = new Uint8Array(1);
  assert.deepEqual(HostStore.open(at).guest('web').write({ type: 1, compressed: false, data }), { id: 7 });
  const plain = copied();
  await exhume('pstore', 'rm', plain, '--all');
  assert.deepEqual(readdirSync(plain), []);
  assert.equal((await exhume('pstore', 'ls', plain)).status, 3);
});

test('report tells of records what it tells of a dump: the kernel, why it died, by what the crash is known', async () => {
  const { status, answer } = await json('report', FIXTURE);
  assert.equal(status, 0);
  assert.equal(answer.headline, 'Linux 7.2.12+deb14-cloud-amd64 died: sysrq triggered crash');
  assert.equal(answer.kernel.commandLine, 'console=ttyS0 panic=-1 pstore.kmsg_bytes=65536 pstore.backend=erst');
  assert.equal(answer.kernel.kaslrOffset, '0x1600000');
  assert.equal(answer.log.total, 411);
  assert.deepEqual(
    answer.kernels.map(({ role, chosen }: Record<string, unknown>) => [role, chosen]),
    [
      ['running', false],
      ['crashed', true],
    ],
  );
  const { stdout } = await exhume(FIXTURE);
  assert.equal(stdout.split('not the memory').length, 2);
  assert.match((await exhume(FIXTURE, '--format', 'html')).stdout, /^<!doctype html>[\s\S]*sysrq triggered crash/i);
});

test('an oops in records has the signature of the same oops of another kernel, and a single part is read too', async () => {
  const other = fileURLToPath(new URL('../../../src/pstore/fixtures/erst-6.1/', import.meta.url));
  const { answer: oops } = await json('report', stored().concat('/web'), '--kernel', '0');
  assert.equal(oops.crash.kind, 'page-fault');
  assert.match(oops.headline, /^Linux 7\.2\S* kept its log after this: NULL pointer dereference at 0x40 in lab_touch/);
  assert.equal(oops.crash.time.source, 'record');
  const { answer } = await json('signature', 'report', '--signature', other, '--kernel', '0');
  assert.equal(answer.signature.id, oops.signature.id);
  const { answer: part } = await json('report', `${FIXTURE}dmesg-erst-7710592913486381057.enc.z`);
  assert.deepEqual([part.kernel.banner, part.kernel.release], [null, '7.2.12+deb14-cloud-amd64']);
  assert.equal(part.signature.id, oops.signature.id);
  assert.equal((await exhume(FIXTURE, '--kernel', '2')).status, 2);
  assert.equal((await exhume(join(stored(), 'db'))).status, 4);
});
