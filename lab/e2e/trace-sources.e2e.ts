/** Formats and names of traces out of other things than a dump: kernels' packages, and copies of tracefs. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { MemorySource } from '../../src/bytes/byte-source.js';
import { FileSource } from '../../src/bytes/node.js';
import { compressionOf, decompressFile } from '../../src/codecs/compressed-file.js';
import { openDumpFiles } from '../../src/dump/node.js';
import { KernelView } from '../../src/kernel/kernel-view.js';
import { openKernels, selectKernel } from '../../src/kernel/open.js';
import type { KernelSymbol } from '../../src/kernel/symbols.js';
import { START_KERNEL_MAP } from '../../src/kernel/x86-64.js';
import { openMachine } from '../../src/machine/open.js';
import type { FileTree } from '../../src/trace/formats/file-tree.js';
import { writeFormatFile } from '../../src/trace/formats/format-file.js';
import { readKernelFormats } from '../../src/trace/formats/kernel-formats.js';
import { readKernelNames } from '../../src/trace/formats/kernel-names.js';
import { directoryTree } from '../../src/trace/formats/node/directory-tree.js';
import { tarTree } from '../../src/trace/formats/tar-tree.js';
import { readTracefs } from '../../src/trace/formats/tracefs-directory.js';
import { readVmlinuz, type VmlinuzFormats } from '../../src/trace/formats/vmlinuz.js';
import { openKernelTrace } from '../../src/trace/kernel-trace.js';
import type { TraceBuffer } from '../../src/trace/model.js';
import { openPersistentTrace, withFormatsOf } from '../../src/trace/open.js';
import { traceFor } from '../../src/trace/relocation.js';
import { readEvents } from '../../src/trace/ring/events.js';
import { sceneDirectory } from '../directories.js';
import { type KernelName, kernel } from '../kernels.js';

function viewOf(scene: string, file = 'dump.elf'): KernelView {
  const path = join(sceneDirectory(scene), file);
  assert.ok(existsSync(path), `${path} is missing: npm run lab`);
  return new KernelView(selectKernel(openKernels(openMachine(openDumpFiles([path])))));
}

const opened = new Map<KernelName, VmlinuzFormats>();

function imageOf(name: KernelName): VmlinuzFormats {
  const image = opened.get(name) ?? readVmlinuz(FileSource.open(kernel(name).image));
  opened.set(name, image);
  return image;
}

for (const [name, scene, packing, count] of [
  ['6.1', 'trace-6.1', 'lz4', 1390],
  ['6.12', 'panic-6.12', 'zstd', 1552],
  ['6.18', 'panic-6.18-bare', 'zstd', 1603],
  ['7.2', 'trace-7.2', 'zstd', 1646],
] as const) {
  test(`Linux ${name}: a vmlinuz gives the built-in events, numbers and all, that the kernel had when it ran`, () => {
    const image = imageOf(name);
    const view = viewOf(scene);
    assert.equal(image.release, view.kernel.release);
    assert.equal(image.packing, `bzImage (${packing})`);
    const running = readKernelFormats(view);
    const builtIn = running.all.filter((format) => format.module === undefined && format.dynamic === undefined);
    assert.equal(builtIn.length, count);
    for (const format of builtIn) {
      const found = image.formats.find(format.system, format.name);
      assert.ok(found !== undefined, format.name);
      assert.equal(writeFormatFile(found, image.formats.common), writeFormatFile(format, running.common));
    }
    assert.equal(image.formats.all.length, count);
    const offset = view.kernel.kaslrOffset ?? 0n;
    const names = readKernelNames(view);
    const address = view.address('schedule') + 4n;
    assert.equal(image.names.symbol(address - offset)?.symbol.name, names.symbol(address)?.symbol.name);
    const formats = [...image.names.printkFormats()].map(([at, text]) => `${at + offset} ${text}`);
    assert.ok(formats.length > 100);
    const known = new Set([...names.printkFormats()].map(([at, text]) => `${at} ${text}`));
    assert.deepEqual(
      formats.filter((line) => !known.has(line)),
      [],
    );
  });
}

/** Commands of scripts/Makefile.lib that pack a kernel. */
const PACKERS = [
  ['gzip', 'gzip', '-n', '-9'],
  ['bzip2', 'bzip2', '-9'],
  ['lzma', 'lzma', '-9'],
  ['xz', 'xz', '--check=crc32', '--x86', '--lzma2=dict=32MiB'],
  ['lzop', 'lzop', '-9'],
  ['lz4', 'lz4', '-l', '-9', '-c'],
  ['zstd', 'zstd', '-19'],
] as const;

test('data packed as kernels are comes out as it went in', () => {
  const source = FileSource.open(kernel('6.1').image);
  // What is packed inside of it, which does not shrink; then a program, which does.
  const packed = new Uint8Array(1 << 17);
  source.read(1 << 20, packed);
  const bytes = Buffer.concat([packed, readFileSync(process.execPath).subarray(32 << 20, (32 << 20) + (1 << 19))]);
  for (const [name, command, ...options] of PACKERS) {
    const made = spawnSync(command, [...options], { input: bytes, maxBuffer: 1 << 28 });
    assert.equal(made.status, 0, `${name}: ${made.stderr}`);
    const compressed = new Uint8Array(made.stdout);
    const compression = compressionOf(compressed);
    assert.equal(compression?.name, name);
    assert.ok(compression !== undefined);
    assert.ok(bytes.equals(decompressFile(compression, compressed, bytes.length)), name);
  }
});

/** `raw/` has the pages, `truth/` all else. */
function copyOf(scene: string): FileTree {
  const [raw, truth] = ['raw', 'truth'].map((part) => directoryTree(join(sceneDirectory(scene), part)));
  assert.ok(raw !== undefined && truth !== undefined);
  return {
    name: scene,
    list: (folder) => [...new Set([...truth.list(folder), ...raw.list(folder)])],
    text: (path, limit) => truth.text(path, limit),
    open: (path) => raw.open(path),
  };
}

/** All that there is of the events of a buffer, in few words; but how many were lost before the first, which memory doesn't tell. */
function summaryOf(buffer: TraceBuffer): string {
  let count = 0;
  let sum = 0;
  const stream = readEvents(buffer);
  for (const { time, cpu, view, start, length } of stream) {
    count++;
    for (let at = 0; at < length; at += 4) sum = (Math.imul(sum, 31) + view.getInt32(start + at, true)) | 0;
    sum = (Math.imul(sum, 31) + (time % 0x7fffffff) + cpu) | 0;
  }
  return `${buffer.instance} ${buffer.snapshot} ${buffer.clock} ${buffer.tracer} ${stream.base} ${count} ${sum}`;
}

for (const scene of ['trace-6.1', 'trace-7.2']) {
  test(`${scene}: a copy of tracefs has the events, formats and names that are in the memory`, () => {
    const copy = readTracefs(copyOf(scene));
    assert.ok(copy !== undefined);
    const memory = openKernelTrace(viewOf(scene));
    assert.deepEqual(copy.damage, []);
    assert.deepEqual([copy.release, copy.longSize, copy.onlineCpus], [memory.release, 8, memory.onlineCpus]);
    assert.deepEqual(
      copy.formats.all.map((format) => writeFormatFile(format, copy.formats.common)),
      memory.formats.all.map((format) => writeFormatFile(format, memory.formats.common)),
    );
    assert.deepEqual([...copy.names.comms()], [...memory.names.comms()]);
    assert.deepEqual([...copy.names.threadGroups()], [...memory.names.threadGroups()]);
    assert.deepEqual(new Map(copy.names.printkFormats()), new Map(memory.names.printkFormats()));
    const full = (buffers: readonly TraceBuffer[]): string[] =>
      buffers.filter(({ cpus }) => cpus.some((cpu) => [...cpu.subBuffers()].length > 0)).map(summaryOf);
    const found = full(copy.buffers);
    assert.ok(found.length > 8);
    const known = full(memory.buffers);
    assert.deepEqual(
      found.filter((summary) => !known.includes(summary)),
      [],
    );
  });
}

const scratch = mkdtempSync(join(tmpdir(), 'exhume-tar-'));
after(() => rmSync(scratch, { recursive: true }));

test('an archive that tar made is the directory', () => {
  const directory = join(sceneDirectory('trace-6.1'), 'truth');
  const archive = join(scratch, 'truth.tar');
  const made = spawnSync('tar', ['-C', join(directory, '..'), '-cf', archive, 'truth']);
  assert.equal(made.status, 0, `${made.stderr}`);
  const tree = tarTree(FileSource.open(archive));
  const trace = tree && readTracefs(tree);
  assert.deepEqual(trace?.formats.all, readTracefs(directoryTree(directory))?.formats.all);
  assert.equal(tree?.text('truth/trace_clock', 100), readFileSync(join(directory, 'trace_clock'), 'utf8'));
  assert.equal(tarTree(new MemorySource(readFileSync(join(directory, 'kallsyms')))), undefined);
});

for (const [scene, name] of [
  ['trace-boots-6.12', '6.12'],
  ['trace-boots-7.2', '7.2'],
] as const) {
  test(`${scene}: of a kernel that is gone its vmlinuz tells the events and symbols of a persistent buffer`, () => {
    const directory = sceneDirectory(scene);
    const region = openPersistentTrace(FileSource.open(join(directory, 'region.bin')));
    assert.ok(region !== undefined);
    const trace = withFormatsOf(region, imageOf(name));
    const first = readTracefs(directoryTree(join(directory, 'first')));
    assert.ok(first !== undefined && readdirSync(join(directory, 'first/events')).length > 50);
    const [buffer] = trace.buffers;
    assert.ok(buffer !== undefined);
    const { names } = traceFor(trace, buffer);
    let known = 0;
    let symbols = 0;
    for (const { type, view, start } of readEvents(buffer)) {
      const told = first.formats.byId(type);
      const format = trace.formats.byId(type);
      // Events of modules are not in the image, and have numbers of their own.
      if (format === undefined) continue;
      assert.deepEqual([format.name, format.fields], [told?.name, told?.fields]);
      known++;
      for (const { size, offset } of format.fields) {
        const address = size === 8 ? view.getBigUint64(start + offset, true) : 0n;
        const symbol: KernelSymbol | undefined =
          address < START_KERNEL_MAP ? undefined : first.names.symbol(address)?.symbol;
        if (symbol === undefined || symbol.module !== undefined) continue;
        assert.equal(names.symbol(address)?.symbol.name, symbol.name);
        symbols++;
      }
    }
    assert.ok(known > 1000 && symbols >= 10, `${known} events, ${symbols} symbols`);
  });
}
