import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Pfn } from '../bytes/address.js';
import { openDumpFiles } from '../dump/node.js';
import { writeElf, writeNote } from '../dump/testing/elf-writer.js';
import type { ConvertReport } from '../report/schema/convert.js';
import { writeAsQemu } from '../testing/qemu-dump.js';
import { SAMPLE_PATH } from '../testing/sample.js';
import { occurrences } from '../testing/scrubbed-memory.js';
import { EXIT } from './status.js';
import { exhume } from './testing/exhume.js';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
const BUNDLE = fileURLToPath(new URL('../../bin/main.cjs', import.meta.url));

const directory = mkdtempSync(join(tmpdir(), 'exhume-convert-'));
after(() => rmSync(directory, { recursive: true }));
let made = 0;
const place = (): string => join(directory, `dump-${made++}`);

/** Runs exhume as a program, with what it reads from a pipe. */
function program(main: string, args: readonly string[], input?: Uint8Array): SpawnSyncReturns<Buffer> {
  return spawnSync(process.execPath, [main, 'convert', ...args], { maxBuffer: 1 << 28, ...(input && { input }) });
}

/** A piece of the sample: what its CPUs did and 600 pages of its memory, a tenth of them left out. No kernel can be found in it. */
const SMALL = join(directory, 'small');
{
  const { memory, notes } = openDumpFiles([SAMPLE_PATH]);
  const pieces = [0, 9300, 12_000, 20_000].map((first) => {
    const data = new Uint8Array(150 * 4096);
    assert.equal(memory.readPages(first, data), 150);
    return { type: 1, physical: BigInt(first) * 4096n, data: data.subarray(0, 135 * 4096), memorySize: data.length };
  });
  const told = Buffer.concat(notes.map(({ name, type, description }) => writeNote(name, type, description, true)));
  const segments = [{ type: 4, physical: 0n, data: told }, ...pieces];
  writeFileSync(SMALL, writeElf({ wordBits: 64, littleEndian: true, machine: 62, segments }));
}
const DESCRIBED = 600;
const EXCLUDED = 60;

async function converted(...args: string[]): Promise<ConvertReport> {
  const { status, stdout, stderr } = await exhume('convert', '--json', ...args);
  // Without a kernel in it, its header cannot be made whole.
  assert.equal(status, args.includes(SAMPLE_PATH) ? EXIT.answered : EXIT.inPart, stderr);
  return JSON.parse(stdout);
}

/** Checks that a dump has the pages of another; those that it lacks must be excluded, and so many. */
function assertSamePages(files: readonly string[], excluded: number, of = SMALL): void {
  const [one, other] = [openDumpFiles([of]).memory, openDumpFiles(files).memory];
  let missing = 0;
  for (const { start, end } of one.ranges()) {
    for (let pfn = start / 4096; pfn < end / 4096; pfn++) {
      const [expected, page] = [one.page(pfn as Pfn), other.page(pfn as Pfn)];
      // What the kernel does not know is in no kdump file.
      if (page === 'excluded' || page === 'absent') missing++;
      else if (typeof page === 'string' || typeof expected === 'string') assert.equal(page, expected, `page ${pfn}`);
      else assert.equal(Buffer.compare(page, expected), 0, `page ${pfn}`);
    }
  }
  assert.equal(missing, excluded);
}

test('a dump is the same whoever packs it: this thread, others, and those of the bundled command', async () => {
  const [single, threads, bundled] = [place(), place(), place()];
  const answer = await converted(SMALL, single, '--jobs', '1');
  assert.deepEqual([answer.pages.described, answer.pages.excludedBefore], [DESCRIBED, EXCLUDED]);
  assert.equal(answer.pages.written, DESCRIBED - EXCLUDED);
  assert.equal(answer.output.bytes, statSync(single).size);
  assertSamePages([single], EXCLUDED);
  await converted(SMALL, threads, '--jobs', '3');
  assert.deepEqual(readFileSync(threads), readFileSync(single));
  const { status, stderr } = program(BUNDLE, [SMALL, bundled, '--jobs', '2']);
  assert.equal(status, EXIT.inPart, stderr.toString());
  assert.deepEqual(readFileSync(bundled), readFileSync(single));
});

test('the dump is what the options say, and goes through all forms and back', async () => {
  const raw = place();
  await converted(SMALL, raw, '--format', 'raw');
  assert.equal(statSync(raw).size, 20_150 * 4096);
  let last = SMALL;
  for (const [format, compress] of [
    ['kdump', 'zstd'],
    ['flattened', 'lzo'],
    ['elf', 'none'],
    ['kdump', 'snappy'],
    ['kdump', 'none'],
    ['kdump', 'zlib'],
  ] as const) {
    const out = place();
    const answer = await converted(last, out, '--format', format, '--compress', compress);
    const method = compress === 'none' ? null : compress === 'lzo' ? 'lzo1x' : compress;
    assert.deepEqual([answer.output.format, answer.output.compression], [format, method]);
    assertSamePages([out], EXCLUDED);
    last = out;
  }
});

test('pages are left out by class, and told; those that the input has not are not blamed on it', async () => {
  const [first, second] = [place(), place()];
  const answer = await converted(SAMPLE_PATH, first, '-d', '31');
  const counts = new Map(answer.pages.excluded.map(({ class: name, pages }) => [name, pages]));
  assert.ok((counts.get('free') ?? 0) > 1000 && answer.pages.zero > 100 && !counts.has('zero'));
  const excluded = answer.pages.described - answer.pages.written;
  assert.equal(
    [...counts.values()].reduce((sum, pages) => sum + pages, answer.pages.excludedBefore),
    excluded,
  );
  assertSamePages([first], excluded, SAMPLE_PATH);
  assert.equal((await exhume('convert', first, second, '--exclude', 'zero,free')).status, EXIT.answered);
  assertSamePages([second], excluded, SAMPLE_PATH);
  const { pages } = await converted(SMALL, place(), '--exclude', 'free');
  assert.deepEqual([pages.unknown, pages.written], [DESCRIBED - EXCLUDED, DESCRIBED - EXCLUDED]);
  const { status, stderr } = await exhume('convert', SMALL, place(), '--raw-memory', '-d', '16');
  assert.equal(status, EXIT.failed, stderr);
});

test('with --keep kernel a dump is small, and answers as before', async () => {
  const out = place();
  const { pages, output } = await converted(SAMPLE_PATH, out, '--keep', 'kernel');
  assert.ok(output.bytes < statSync(SAMPLE_PATH).size * 0.8);
  assertSamePages([out], pages.described - pages.written, SAMPLE_PATH);
  assert.equal((await exhume('ps', out)).stdout, (await exhume('ps', SAMPLE_PATH)).stdout);
});

test('with --scrub user what is of users is gone, and said', async () => {
  const out = place();
  const { pages, scrubbed } = await converted(SAMPLE_PATH, out, '--scrub', 'user');
  assert.ok(scrubbed !== null && scrubbed.blanked.length > 5 && scrubbed.stays.length > 0);
  assert.ok(pages.excluded.some(({ class: name }) => name === 'user'));
  const [before, now] = [openDumpFiles([SAMPLE_PATH]).memory, openDumpFiles([out]).memory];
  let blanked = 0;
  for (let pfn = 0; pfn < 24_576; pfn++) {
    const [old, page] = [before.page(pfn as Pfn), now.page(pfn as Pfn)];
    if (typeof old === 'string' || typeof page === 'string' || Buffer.compare(old, page) === 0) continue;
    assert.ok(page.every((byte, i) => byte === 0 || byte === old[i]));
    blanked++;
  }
  assert.ok(blanked > 10, `${blanked} pages`);
  // A line of the first process's script: in its memory and in the file.
  const line = 'PATH=/bin:/usr/bin:/usr/sbin:/sbin';
  assert.ok((occurrences(before, [line]).get(line) ?? 0) > 0);
  assert.equal(occurrences(now, [line]).get(line), 0);
});

test('with --fix-only the pages stay as they are', async () => {
  const [wrong, out] = [place(), place()];
  await writeAsQemu(wrong);
  const { status, stdout } = await exhume('convert', '--json', wrong, out, '--fix-only');
  assert.equal(status, EXIT.answered);
  const { header, pages }: ConvertReport = JSON.parse(stdout);
  assert.ok(header.repairs.some(({ field, now }) => field === 'utsname.release' && now.startsWith('7.2')));
  assert.equal(pages.written + pages.excludedBefore, pages.described);
  // The firmware's 64 pages are not described any more.
  assertSamePages([out], pages.excludedBefore + 64, wrong);
  const flattened = place();
  await converted(SMALL, flattened, '--format', 'flattened');
  for (const args of [
    [SMALL, out, '--fix-only', '-d', '1'],
    [SMALL, '-', '--fix-only'],
    [flattened, out, '--fix-only'],
  ]) {
    assert.equal((await exhume('convert', ...args)).status, EXIT.usage, args.join(' '));
  }
});

test('a dry run writes nothing, and tells about what a run would', async () => {
  const out = place();
  const dry = await converted(SMALL, out, '-d', '1', '--dry-run', '--compress', 'zlib');
  assert.throws(() => statSync(out));
  const answer = await converted(SMALL, out, '-d', '1', '--compress', 'zlib');
  assert.deepEqual(dry.pages, answer.pages);
  const off = dry.output.bytes / answer.output.bytes;
  assert.ok(off > 0.8 && off < 1.25, `${off}`);
});

test('a set of files can be written, and made one again', async () => {
  const [set, one] = [place(), place()];
  const answer = await converted(SMALL, set, '--split', '3', '-d', '1');
  const files = [1, 2, 3].map((part) => `${set}.${part}`);
  assert.deepEqual(
    answer.output.files.map(({ name }) => name),
    files,
  );
  const excluded = answer.pages.described - answer.pages.written;
  assertSamePages(files, excluded);
  await converted(...files.toReversed(), one, '--reassemble');
  assertSamePages([one], excluded);
  const alone = await exhume('convert', '--reassemble', files[0] ?? '', place());
  assert.equal(alone.status, EXIT.usage);
});

test('dumps come and go through pipes', () => {
  for (const format of ['flattened', 'elf']) {
    const { stdout, stderr } = program(MAIN, ['-d', '1', '--format', format, SMALL, '-']);
    assert.match(stderr.toString(), /^standard output: [\d.]+ MiB/);
    const piped = place();
    writeFileSync(piped, stdout);
    const { format: inner, flattened } = openDumpFiles([piped]);
    assert.deepEqual([inner, flattened], [format === 'elf' ? 'elf' : 'kdump', true]);
    const lacking = lackingIn(piped);
    // In a kdump file pages of zeros share one.
    if (format === 'elf') assert.ok(lacking > EXCLUDED);
    else assert.equal(lacking, EXCLUDED);
    assertSamePages([piped], lacking);
    const back = place();
    const received = program(MAIN, ['-', back, '--progress', 'json'], stdout);
    assert.match(received.stderr.toString(), /^\{"phase":"receiving"/);
    assertSamePages([back], lacking);
  }
});

test('what was received only in part has lost pages, and no zeros for them', () => {
  const { stdout } = program(MAIN, ['-d', '1', SMALL, '-']);
  const out = place();
  const { status, stdout: answer } = program(MAIN, ['-', out, '--json'], stdout.subarray(0, stdout.length >> 1));
  assert.equal(status, EXIT.inPart);
  assert.ok(JSON.parse(answer.toString()).pages.lost > 50);
  assertSamePages([out], lackingIn(out));
});

test('lost pages are counted, and recorded as excluded', async () => {
  const [cut, out] = [place(), place()];
  await converted(SMALL, cut, '--format', 'kdump', '--compress', 'zlib');
  truncateSync(cut, Math.floor(statSync(cut).size * 0.7));
  for (const format of ['kdump', 'elf', 'raw']) {
    const { pages, damage } = await converted(cut, out, '--format', format);
    assert.ok(pages.lost > 50, `${pages.lost}`);
    assert.equal(pages.written + pages.lost + EXCLUDED, DESCRIBED);
    assert.ok(damage.some(({ code }) => code === 'EXH_PAGE_LOST'));
    if (format !== 'raw') assertSamePages([out], pages.lost + EXCLUDED);
  }
});

test('data that proves to be broken when it is packed is lost, too', async () => {
  const [broken, out] = [place(), place()];
  await converted(SMALL, broken, '--format', 'kdump', '--compress', 'zlib');
  const bytes = readFileSync(broken);
  const { memory } = openDumpFiles([broken]);
  let spoiled = 0;
  for (let pfn = 9300; pfn < 9435; pfn += 40) {
    const stored = memory.storedPage(pfn as Pfn);
    if (typeof stored !== 'object' || stored.method === undefined) continue;
    const at = bytes.indexOf(stored.bytes);
    bytes.fill(0xee, at + 20, at + stored.bytes.length);
    spoiled++;
  }
  assert.ok(spoiled > 1);
  writeFileSync(broken, bytes);
  for (const jobs of ['1', '2']) {
    const { pages } = await converted(broken, out, '--compress', 'zstd', '--jobs', jobs);
    assert.equal(pages.lost, spoiled);
    assertSamePages([out], spoiled + EXCLUDED);
  }
  const { stdout } = program(MAIN, ['--compress', 'zstd', broken, '-']);
  writeFileSync(out, stdout);
  assertSamePages([out], spoiled + EXCLUDED);
});

function lackingIn(file: string): number {
  const { memory } = openDumpFiles([file]);
  return (memory.describedBytes() - memory.presentBytes()) / 4096;
}

test('what makes no sense is said, and nothing is written', async () => {
  const out = place();
  for (const args of [
    [SMALL],
    [SMALL, out, '--format', 'elf', '--compress', 'zlib'],
    [SMALL, out, '--format', 'raw', '--level', '3'],
    [SMALL, '-', '--format', 'raw'],
    [SMALL, '-', '--split', '2'],
    [SMALL, out, '--split', '2', '--format', 'elf'],
    [SMALL, out, '--split', '1'],
    [SMALL, out, '-d', '32'],
    [SMALL, out, '--exclude', 'everything'],
    [SMALL, out, '--compress', 'zlib', '--level', '77'],
    [SMALL, out, '--compress', 'lzo', '--level', '1'],
    [SMALL, out, '--jobs', '0'],
    ['-', SMALL, out],
    [SMALL, directory],
  ]) {
    const { status, stderr } = await exhume('convert', ...args);
    assert.equal(status, EXIT.usage, `${args.join(' ')}: ${stderr}`);
    assert.match(stderr, /EXH_USAGE/);
  }
  assert.throws(() => statSync(out));
});

test('interrupted, it leaves nothing behind but the old file', async () => {
  const at = mkdtempSync(join(directory, 'interrupted-'));
  const out = join(at, 'out');
  for (const [signal, jobs] of [
    ['SIGINT', '2'],
    ['SIGTERM', '1'],
  ] as const) {
    writeFileSync(out, 'old');
    const args = [MAIN, 'convert', '--progress', 'json', '--jobs', jobs, '--level', '9', SAMPLE_PATH, out];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let told = '';
    child.stderr.on('data', (bytes) => {
      const begun = told.includes('"writing"');
      told += bytes;
      if (!begun && told.includes('"writing"')) child.kill(signal);
    });
    const status = await new Promise((ended) => child.once('close', ended));
    assert.match(told, new RegExp(`EXH_INTERRUPTED: ended by ${signal}`));
    assert.equal(status, EXIT.failed);
    assert.deepEqual(readdirSync(at), ['out']);
    assert.equal(readFileSync(out, 'utf8'), 'old');
  }
});

test('a full disk is an error that says so, and leaves nothing behind', () => {
  const at = mkdtempSync(join(directory, 'full-'));
  const script = 'ulimit -f 1024; trap "" XFSZ; exec "$0" "$@"';
  const args = ['-c', script, process.execPath, MAIN, 'convert', '--compress', 'none', SMALL, join(at, 'out')];
  const { status, stderr } = spawnSync('sh', args, { encoding: 'utf8' });
  assert.match(stderr, /EXH_NO_SPACE/);
  assert.equal(status, EXIT.failed);
  assert.deepEqual(readdirSync(at), []);
});
