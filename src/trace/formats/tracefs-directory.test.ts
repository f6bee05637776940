import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { MemorySource } from '../../bytes/byte-source.js';
import { Random } from '../../testing/random.js';
import { readEvents } from '../ring/events.js';
import type { FileTree } from './file-tree.js';
import { directoryTree } from './node/directory-tree.js';
import { tarTree } from './tar-tree.js';
import { readTracefs } from './tracefs-directory.js';

const encoder = new TextEncoder();

const FORMAT = `name: lab
ID: 900
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:int number;	offset:8;	size:4;	signed:1;

print fmt: "number=%d", REC->number
`;

/** A sub-buffer of 64 bytes with events of 12 bytes, 10 apart; `flags` go into its commit word. */
function page(time: number, numbers: readonly number[], flags = 0): Uint8Array {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(time), true);
  view.setUint32(8, numbers.length * 16 + flags, true);
  for (const [index, number] of numbers.entries()) {
    const at = 16 + index * 16;
    view.setUint32(at, 3 | ((index === 0 ? 0 : 10) << 5), true);
    view.setUint16(at + 4, 900, true);
    view.setInt32(at + 8, 7, true);
    view.setInt32(at + 12, number, true);
  }
  return bytes;
}

const MISSED = 0x8000_0000;

const FILES: Readonly<Record<string, string | Uint8Array>> = {
  'events/header_page':
    '\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n' +
    '\tfield: char data;\toffset:16;\tsize:48;\tsigned:0;\n',
  'events/mine/lab/format': FORMAT,
  'events/mine/broken/format': 'nothing of the kind',
  'events/enable': '0\n',
  saved_cmdlines: '7 bash\n',
  saved_tgids: '7 6\n',
  printk_formats: '0xffffffff82000000 : "hello\\n"\n',
  kallsyms: 'ffffffff81000000 T _text\nffffffff81000100 T next\n',
  version: 'Linux version 6.1.0-test (someone)\n',
  trace: '# tracer: nop\n#\n# entries-in-buffer/entries-written: 3/3   #P:2\n',
  trace_clock: 'local global [mono] boot\n',
  current_tracer: 'function\n',
  trace_options: 'print-parent\nnosym-offset\n',
  tracing_on: '0\n',
  'per_cpu/cpu1/trace_pipe_raw': joined(page(1000, [1, 2]), page(2000, [3], MISSED)),
  'per_cpu/cpu0/trace_pipe_raw': page(1005, [4]),
  'per_cpu/cpu0/stats': 'entries: 1\noverrun: 5\ncommit overrun: 0\nbytes: 16\ndropped events: 0\nread events: 2\n',
  'per_cpu/cpu0/snapshot_raw': page(500, [5]),
  'per_cpu/cpu2/stats': 'entries: 0\n',
  'instances/small/per_cpu/cpu0/trace_pipe_raw': page(1, [6]),
  'instances/small/options/raw': '1\n',
  'instances/small/options/hex': '0\n',
};

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const bytesOf = (content: string | Uint8Array): Uint8Array =>
  typeof content === 'string' ? encoder.encode(content) : content;

/** A tar archive, with every name below `prefix`. */
function tar(files: Readonly<Record<string, string | Uint8Array>>, prefix: string): Uint8Array {
  const parts: Uint8Array[] = [];
  const add = (name: string, kind: string, content: Uint8Array): void => {
    const header = new Uint8Array(512);
    const put = (at: number, text: string) => header.set(encoder.encode(text), at);
    put(0, name.slice(0, 100));
    put(124, `${content.length.toString(8).padStart(11, '0')}\0`);
    put(148, '        ');
    put(156, kind);
    put(257, 'ustar\x0000');
    put(
      148,
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
    );
    parts.push(header, content, new Uint8Array((512 - (content.length % 512)) % 512));
  };
  for (const [name, content] of Object.entries(files)) {
    const path = `${prefix}${name}`;
    if (path.length > 100) add('././@LongLink', 'L', encoder.encode(`${path}\0`));
    add(path, '0', bytesOf(content));
  }
  parts.push(new Uint8Array(1024));
  return joined(...parts);
}

const scratch = mkdtempSync(join(tmpdir(), 'tracefs-'));
after(() => rmSync(scratch, { recursive: true }));
for (const [name, content] of Object.entries(FILES)) {
  const path = join(scratch, 'tracing', name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

function treeOfTar(bytes: Uint8Array): FileTree {
  const tree = tarTree(new MemorySource(bytes, 'copy.tar'));
  assert.ok(tree !== undefined);
  return tree;
}

const LONG = `${'a-rather-long-name-of-a-folder/'.repeat(4)}`;

for (const [kind, tree] of [
  ['a directory', directoryTree(join(scratch, 'tracing'))],
  ['the directory above it', directoryTree(scratch)],
  ['an archive', treeOfTar(tar(FILES, './'))],
  ['an archive of the folder above it', treeOfTar(tar(FILES, 'tracing/'))],
] as const) {
  test(`a copy of tracefs in ${kind} is a trace`, () => {
    const trace = readTracefs(tree);
    assert.ok(trace !== undefined);
    const { formats, names, buffers } = trace;
    assert.deepEqual([trace.release, trace.longSize, trace.onlineCpus], ['6.1.0-test', 8, 2]);
    assert.equal(formats.byId(900)?.printFormat, '"number=%d", REC->number');
    assert.deepEqual(
      trace.damage.map(({ part }) => part),
      ['events/mine/broken/format'],
    );
    assert.deepEqual([names.comm(7), names.threadGroup(7)], ['bash', 6]);
    assert.equal(names.printkFormat(0xffffffff82000000n), 'hello\n');
    assert.equal(names.symbol(0xffffffff81000010n)?.symbol.name, '_text');
    assert.deepEqual(
      buffers.map(({ instance, snapshot, cpus }) => [instance, snapshot, cpus.map(({ cpu }) => cpu)]),
      [
        [undefined, false, [0, 1]],
        [undefined, true, [0]],
        ['small', false, [0]],
      ],
    );
    const [top, snapshot, small] = buffers;
    assert.ok(top !== undefined && snapshot !== undefined && small !== undefined);
    assert.deepEqual(
      [top.clock, top.tracer, top.recording, [...(top.options ?? [])]],
      ['mono', 'function', false, ['print-parent']],
    );
    assert.deepEqual([small.clock, small.tracer, [...(small.options ?? [])]], ['local', 'nop', ['raw']]);
    assert.deepEqual(top.cpus[0]?.statistics, {
      entries: 1,
      overrun: 5,
      commitOverrun: 0,
      droppedEvents: 0,
      readEvents: 2,
      bytes: 16,
    });
    const numbers = [...eventsOf(top)];
    assert.deepEqual(numbers, ['1000 1 cpu1', '1005 4 cpu0', '1010 2 cpu1', '2000 3 cpu1, some lost']);
    assert.deepEqual([...eventsOf(snapshot)], ['500 5 cpu0']);
    assert.deepEqual([...eventsOf(small)], ['1 6 cpu0']);
  });
}

function* eventsOf(buffer: Parameters<typeof readEvents>[0]): Generator<string> {
  const stream = readEvents(buffer);
  for (const { time, cpu, view, start, lost } of stream) {
    const number = view.getInt32(start + 8, true);
    yield `${Number(stream.base) + time} ${number} cpu${cpu}${lost === 0 ? '' : ', some lost'}`;
  }
}

test('names longer than a header of tar has room for are found', () => {
  const tree = treeOfTar(tar({ [`${LONG}file`]: 'content' }, ''));
  assert.equal(tree.text(`${LONG}file`, 4), 'cont');
});

test('formats and names alone are a trace without buffers', () => {
  const trace = readTracefs(treeOfTar(tar({ 'events/mine/lab/format': FORMAT }, '')));
  assert.deepEqual(trace?.buffers, []);
  assert.equal(trace?.formats.all.length, 1);
  assert.equal(trace?.release, undefined);
});

test('what is no copy of tracefs is none', () => {
  assert.equal(readTracefs(treeOfTar(tar({ 'readme.txt': 'hello' }, ''))), undefined);
  assert.equal(readTracefs(directoryTree(join(scratch, 'nowhere'))), undefined);
  assert.equal(tarTree(new MemorySource(encoder.encode('x'.repeat(2000)), 'text')), undefined);
  assert.equal(tarTree(new MemorySource(new Uint8Array(2000), 'zeros')), undefined);
});

test('a copy of sub-buffers that is cut off is told, and read as far as it goes', () => {
  const cut = (FILES['per_cpu/cpu1/trace_pipe_raw'] as Uint8Array).subarray(0, 100);
  const trace = readTracefs(treeOfTar(tar({ ...FILES, 'per_cpu/cpu1/trace_pipe_raw': cut }, '')));
  const [top] = trace?.buffers ?? [];
  assert.ok(top !== undefined);
  assert.deepEqual(
    top.damage.map(({ code }) => code),
    ['EXH_TRUNCATED'],
  );
  assert.equal([...eventsOf(top)].length, 4);
});

test('broken archives are read in part, or are none', () => {
  const random = new Random(4);
  for (let round = 0; round < 150; round++) {
    const bytes = tar(FILES, '').slice();
    const cut = bytes.subarray(0, random.below(3) === 0 ? random.below(bytes.length) : bytes.length);
    random.mutate(cut.length === 0 ? bytes : cut);
    const tree = tarTree(new MemorySource(cut, 'copy.tar'));
    const trace = tree && readTracefs(tree);
    for (const buffer of trace?.buffers ?? []) assert.ok([...eventsOf(buffer)].length <= 64);
  }
});
