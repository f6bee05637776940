import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { decodeZstd } from '../codecs/zstd.js';
import { AREA_SIZE, AREAS, reservedTrace } from '../testing/reserved-trace.js';
import { SAMPLE_PATH } from '../testing/sample.js';
import { exhume } from './testing/exhume.js';

const FIXTURES = new URL('../../../src/trace/ring/fixtures/', import.meta.url);
const directory = mkdtempSync(join(tmpdir(), 'exhume-trace-'));
after(() => rmSync(directory, { recursive: true }));

function region(name: string, size: number): string {
  const bytes = new Uint8Array(size);
  decodeZstd(readFileSync(new URL(name, FIXTURES)), bytes);
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

/** Of the same build as the sample, which so knows its events. */
const REGION = region('region-7.2-256K.zst', 256 * 1024);
const KNOWN = ['trace', REGION, '--formats', SAMPLE_PATH];

/** The lines that are events. */
function events(text: string): string[] {
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

test('a persistent ring buffer in the words of a kernel of the same build', async () => {
  const { status, stdout, stderr } = await exhume(...KNOWN);
  assert.equal(stderr, '');
  assert.equal(status, 0);
  const lines = events(stdout);
  assert.equal(lines.length, 523);
  assert.match(
    lines[0] ?? '',
    /^ +<idle>-0 +\[000\] d\.\.2\. +35\.706688: sched_switch: prev_comm=swapper\/0 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm=rcu_preempt next_pid=15 next_prio=120$/,
  );
  assert.ok(lines.some((line) => line.endsWith(': tracing_mark_write: hello-persistent')));
});

test('as the kernel that was started next showed it', async () => {
  const { stdout } = await exhume(...KNOWN, '--format', 'restarted');
  assert.match(events(stdout)[0] ?? '', /sched_switch: prev_comm=swapper\/0 prev_pid=0x0 \(0\) prev_prio=0x78 \(120\)/);
  assert.ok(events(stdout).some((line) => line.endsWith(': tracing_mark_write: bye')));
});

test('events are chosen by CPU, kind, time, thread and the kernel’s filters', async () => {
  const count = async (...words: string[]): Promise<number> => events((await exhume(...KNOWN, ...words)).stdout).length;
  assert.equal(await count('--cpu', '0'), 192);
  assert.equal(await count('--cpu', '1'), 331);
  const switches = await count('--event', 'sched_switch');
  const wakings = await count('--event', 'sched:*waking');
  assert.equal(switches + wakings + (await count('--event', 'print')), 523);
  const before = await count('--until', '36.0');
  assert.equal(before + (await count('--since', '36.000000001')), 523);
  assert.ok(before > 0 && before < 523);
  const idle = await count('--pid', '0');
  assert.equal(await count('--comm', '<idle>'), idle);
  const toIdle = await count('--filter', 'sched_switch: next_pid == 0');
  assert.ok(toIdle > 0 && toIdle < switches);
  assert.equal(
    await count('--filter', 'sched_switch: next_pid != 0', '--filter', 'sched_waking: pid >= 0'),
    523 - 3 - toIdle,
  );
});

test('what there is, as a table and as JSON', async () => {
  const { stdout } = await exhume(...KNOWN, '--list');
  assert.match(stdout, /^persistent ring buffer, Linux 7\.2\.\d+/);
  assert.match(stdout, /top +earlier boot +nop +local +\? +2 +523 +0/);
  const { stdout: json, status } = await exhume(...KNOWN, '--stats', '--json');
  assert.equal(status, 0);
  const { schema, complete, buffers } = JSON.parse(json);
  assert.deepEqual({ schema, complete }, { schema: 'exhume-trace/1', complete: true });
  const [{ read, cpus }] = buffers;
  assert.equal(read.events, 523);
  assert.equal(read.first, '35706687846');
  assert.deepEqual(
    cpus.map(({ entries }: { entries: number }) => entries),
    [192, 331],
  );
  assert.deepEqual(read.unprintable, []);
  assert.equal(
    read.kinds.reduce((sum: number, { count }: { count: number }) => sum + count, 0),
    523,
  );
});

test('JSON lines, fields, and what is written for others', async () => {
  const { stdout: lines } = await exhume(...KNOWN, '--format', 'json', '--event', 'sched_switch', '--cpu', '0');
  const [first] = events(lines).map((line) => JSON.parse(line));
  assert.equal(first.event, 'sched_switch');
  assert.equal(first.timestamp, 35706687846);
  assert.equal(first.fields.next_comm, 'rcu_preempt');
  const { stdout: raw } = await exhume(...KNOWN, '--raw', '--event', 'print');
  assert.match(events(raw)[0] ?? '', /: print: ip=/);

  for (const format of ['trace.dat', 'trace.dat-v6']) {
    const file = join(directory, format);
    const { status, stdout } = await exhume(...KNOWN, '--format', format, '-o', file);
    assert.equal(status, 0);
    assert.equal(stdout, `${file}: 523 events\n`);
    const again = await exhume('trace', file);
    assert.equal(events(again.stdout).length, 523, format);
    assert.ok(events(again.stdout).some((line) => line.endsWith(': tracing_mark_write: hello-persistent')));
  }
  const perfetto = join(directory, 'trace.pftrace');
  const { stdout } = await exhume(...KNOWN, '--format', 'perfetto', '--event', 'sched_switch', '-o', perfetto);
  assert.match(stdout, /trace\.pftrace: \d+ events\n/);
  // Every packet begins with the field 1 of a Trace.
  assert.equal(readFileSync(perfetto)[0], 0x0a);
});

/** A plain image of a machine's memory, and the tree of its handover in a file. */
function handedOver(): { image: string; files: string } {
  const { memory, blob } = reservedTrace();
  const image = join(directory, 'image');
  const bytes = new Uint8Array(AREAS.other + AREA_SIZE);
  for (const [pfn, page] of memory.pages) if (typeof page !== 'string') bytes.set(page, pfn * 4096);
  writeFileSync(image, bytes);
  const files = join(directory, 'kho');
  mkdirSync(join(files, 'out'), { recursive: true });
  writeFileSync(join(files, 'out/fdt'), blob);
  return { image, files };
}

test('a persistent buffer that a kexec handover brings: in memory without a kernel, or by the files of its tree', async () => {
  const { image, files } = handedOver();
  const memory = ['--raw-memory', '--formats', SAMPLE_PATH];
  for (const words of [
    [image, ...memory],
    [image, '--handover', ...memory],
    [files, '--memory', image, ...memory],
    [join(files, 'out/fdt'), '--memory', image, ...memory],
  ]) {
    const list = await exhume('trace', ...words, '--list');
    assert.equal(list.status, 0, list.stderr);
    assert.match(list.stdout, /^persistent ring buffers in a kexec handover, Linux 7\.2/);
    assert.match(
      list.stdout,
      /\n {2}trace: reserve_mem trace at 0x100000, 256 KiB, of the (outgoing )?tree \(kho-v4\)/,
    );
    const { stdout } = await exhume('trace', ...words);
    assert.deepEqual(events(stdout), events((await exhume(...KNOWN)).stdout));
  }
  const searched = await exhume('trace', image, '--persistent', '--list', '--json', ...memory);
  assert.match(JSON.parse(searched.stdout).evidence[0], /^trace: reserve_mem trace/);
  const bare = await exhume('trace', files);
  assert.deepEqual([bare.status, /--memory names a dump/.test(bare.stderr)], [2, true]);
  const wrong = await exhume('trace', REGION, '--handover');
  assert.deepEqual([wrong.status, /is a trace by itself/.test(wrong.stderr)], [2, true]);
  const none = await exhume('trace', SAMPLE_PATH, '--handover');
  assert.deepEqual([none.status, /no kexec handover in it brings a trace/.test(none.stderr)], [4, true]);
});

test('what cannot be done is said', async () => {
  const named = await exhume(...KNOWN, '--buffer', 'nope');
  assert.equal(named.status, 2);
  assert.match(named.stderr, /there is no buffer nope\n +there are: top/);
  const snapshot = await exhume(...KNOWN, '--spare');
  assert.match(snapshot.stderr, /there is no snapshot top/);
  const piped = await exhume(...KNOWN, '--format', 'trace.dat');
  assert.equal(piped.status, 2);
  assert.match(piped.stderr, /name the file/);
  assert.equal((await exhume('trace', SAMPLE_PATH, '--persistent')).status, 4);
  const filter = await exhume(...KNOWN, '--filter', 'sched_switch: no_such_field == 1');
  assert.equal(filter.status, 2);
  for (const wrong of [
    ['--since', 'noon'],
    ['--pid', 'init'],
    ['--cpu', 'x'],
    ['--format', 'xml'],
  ]) {
    assert.equal((await exhume(...KNOWN, ...wrong)).status, 2, wrong.join(' '));
  }
});

test('a dump whose kernel traced nothing: its buffer is empty', async () => {
  const { status, stdout } = await exhume('trace', SAMPLE_PATH);
  assert.equal(status, 0);
  assert.deepEqual(events(stdout), []);
  assert.match(stdout, /^# tracer: nop\n#\n# entries-in-buffer\/entries-written: 0\/0 {3}#P:2\n/);
});

test('the region of a kernel without type information, in the words of a copy of its tracefs', async () => {
  const bare = region('region-7.2-4M.zst', 1 << 22);
  const copy = fileURLToPath(new URL('tracefs-7.2-4M', FIXTURES));
  const { status, stdout, stderr } = await exhume('trace', bare, '--formats', copy);
  assert.deepEqual([status, stderr], [0, '']);
  const lines = events(stdout);
  assert.equal(lines.length, 31);
  assert.ok(lines.every((line) => / (?:sched_switch|sys_openat\(|0x[0-9a-f]+: (?:hello|bye)-from-stage1$)/.test(line)));
  assert.match(
    lines.at(-1) ?? '',
    /sys_openat\(dfd: 4294967196, filename: .* "\/sys\/kernel\/tracing\/instances\/boot_map/,
  );
});

test('a region of which the formats are not known, and one that is damaged, are read as far as they go', async () => {
  const unknown = await exhume('trace', REGION);
  assert.equal(events(unknown.stdout).length, 523);
  const bytes = readFileSync(REGION);
  bytes.writeUInt32LE(0, 0);
  const damaged = join(directory, 'damaged');
  writeFileSync(damaged, bytes);
  const { status, stdout, stderr } = await exhume('trace', damaged, '--formats', SAMPLE_PATH);
  assert.equal(status, 1);
  assert.equal(events(stdout).length, 523);
  assert.match(stderr, /EXH_BAD_STRUCTURE: persistent ring buffer: the magic number is wrong/);
});
