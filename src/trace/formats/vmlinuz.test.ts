import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualAddress } from '../../bytes/address.js';
import { MemorySource } from '../../bytes/byte-source.js';
import { isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { KernelView } from '../../kernel/kernel-view.js';
import type { SymbolTable } from '../../kernel/symbols.js';
import { damagedView } from '../../testing/damaged-view.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { replaceConstants } from './eval-maps.js';
import { readImageFormats } from './image-formats.js';
import { readKernelFormats } from './kernel-formats.js';
import { openKernelImage } from './kernel-image.js';

/**
 * A kernel's image as it was before it booted, made of a dump: the lists of events and of system calls, which lay in memory
 * that it gave back, are made again, and numbers taken away.
 */
function imageBeforeBoot() {
  const { view, set, write, writeBytes } = damagedView();
  const { memory, types } = view;
  const running = readKernelFormats(view);
  const type = types.requireStruct('trace_event_call');
  const calls: { readonly id: number; readonly address: bigint }[] = [];
  const head = view.address('ftrace_events');
  for (let node = memory.pointer(head); node !== head; node = memory.pointer(node)) {
    const call = view.struct('trace_event_call', node - BigInt(type.require('list').offset));
    calls.push({ id: call.int('event.type'), address: call.address });
    if (call.pointer('class->raw_init') !== 0n) set(call, 'event.type', 0);
  }
  calls.sort((one, other) => one.id - other.id);
  const events = view.address('__log_buf');
  write(events, ...calls.map(({ address }) => address));
  const metadata = calls
    .map(({ address }) => view.struct('trace_event_call', address))
    .filter((call) => call.string('class->system') === 'syscalls')
    .map((call) => call.pointer('data'));
  const syscalls = events + BigInt(calls.length * 8);
  write(syscalls, ...new Set<bigint>(metadata));
  const moved = new Map([
    ['__start_ftrace_events', events],
    ['__stop_ftrace_events', syscalls],
    ['__start_syscalls_metadata', syscalls],
    ['__stop_syscalls_metadata', syscalls + BigInt(new Set(metadata).size * 8)],
    // What was between them is gone, and print formats are as the kernel made them of it.
    ['__start_ftrace_eval_maps', 0n],
    ['__stop_ftrace_eval_maps', 0n],
  ]);
  const symbols: SymbolTable = {
    ...withMethods(view.kernel.symbols),
    address: (name) => {
      const address = moved.get(name);
      return address === undefined ? view.kernel.symbols.address(name) : virtualAddress(address);
    },
  };
  return { image: { memory, types, symbols, release: undefined }, running, write, writeBytes, events };
}

function withMethods(table: SymbolTable): SymbolTable {
  return {
    size: table.size,
    find: (name) => table.find(name),
    findAll: (name) => table.findAll(name),
    address: (name) => table.address(name),
    at: (address) => table.at(address),
    all: () => table.all(),
  };
}

test('numbers, fields and print formats of an image are those that the kernel had when it ran', () => {
  const { image, running } = imageBeforeBoot();
  const formats = readImageFormats(image);
  assert.equal(formats.all.length, 1646);
  assert.deepEqual(formats.all, running.all);
  assert.deepEqual(formats.common, running.common);
});

test('a damaged image is refused with an error of ours, or read', () => {
  const random = new Random(21);
  const { image, write, events } = imageBeforeBoot();
  for (let round = 0; round < 3; round++) {
    write(events + BigInt(8 * (100 + random.below(1500))), random.pick([0n, 0xffffffff81000000n, events, 1n << 63n]));
    try {
      assert.ok(readImageFormats(image).all.length <= 1646);
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
});

test('an image whose events are all the same large one is refused before it fills the memory', () => {
  const { image, running, write, writeBytes, events } = imageBeforeBoot();
  const index = running.all.findIndex(({ name }) => name === 'sched_wakeup');
  const call = image.memory.pointer(events + BigInt(index * 8));
  const text = events + 8n * 8192n;
  writeBytes(text, new Uint8Array((1 << 16) - 1).fill(0x41));
  write(call + BigInt(image.types.requireStruct('trace_event_call').require('print_fmt').offset), text);
  for (let place = 0; place < 1600; place++) write(events + BigInt(place * 8), call);
  assert.throws(() => readImageFormats(image), /hold more than those of any kernel/);
});

/** The image in a dump as an ELF file, at the addresses that it ran at. */
function elfOfSample(): Uint8Array {
  const { kernel } = openSample();
  const text = kernel.symbols.address('_text') ?? 0n;
  const end = kernel.symbols.address('_end') ?? 0n;
  const spans = [...kernel.pageTable.mappings(virtualAddress(text), virtualAddress(end))];
  const headers = 64 + 56 * spans.length;
  const total = spans.reduce((sum, { size }) => sum + size, headers);
  const bytes = new Uint8Array(total);
  const view = viewOf(bytes);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, spans.length, true);
  let offset = headers;
  for (const [index, { virtual, physical, size, writable, executable }] of spans.entries()) {
    const at = 64 + 56 * index;
    view.setUint32(at, 1, true);
    view.setUint32(at + 4, 4 + (writable ? 2 : 0) + (executable ? 1 : 0), true);
    for (const [place, value] of [offset, virtual, physical, size, size].entries()) {
      view.setBigUint64(at + 8 + place * 8, BigInt(value), true);
    }
    for (let done = 0; done < size; done += 4096) {
      kernel.memory.physical.tryRead(
        (physical + done) as typeof physical,
        bytes.subarray(offset + done, offset + done + 4096),
      );
    }
    offset += size;
  }
  return bytes;
}

const elf = elfOfSample();

test('an ELF file of a kernel gives its symbols, types and release, without sections', () => {
  const view = new KernelView(openSample().kernel);
  const image = openKernelImage(new MemorySource(elf, 'vmlinux'));
  assert.equal(image.release, view.kernel.release);
  assert.equal(image.symbols.address('schedule'), view.address('schedule'));
  assert.equal(image.types.requireStruct('task_struct').size, view.types.requireStruct('task_struct').size);
  // Its list of events was given back after it had booted.
  assert.throws(() => readImageFormats(image), isExhumeError);
});

test('broken ELF files are refused with an error of ours, or opened', () => {
  const random = new Random(2);
  for (let round = 0; round < 6; round++) {
    const broken = elf.slice(0, round < 3 ? random.below(4096) + 64 : elf.length);
    random.mutate(broken.subarray(0, 400), 6);
    try {
      assert.ok(openKernelImage(new MemorySource(broken, 'vmlinux')).symbols.size > 0);
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
});

test('constants are replaced as the kernel replaces them', () => {
  const map = new Map([
    ['TCP_SYN', 3n],
    ['NEGATIVE', -1n],
    ['sizeof(struct timespec64)', 16n],
    ['X', 100n],
    ['f', 5n],
  ]);
  for (const [text, made] of [
    ['"TCP_SYN %d", TCP_SYN, REC->TCP_SYN', '"TCP_SYN %d", 3, REC->TCP_SYN'],
    ['{ TCP_SYN, "TCP_SYN" }, { TCP_SYNC, "\\" TCP_SYN" }', '{ 3, "TCP_SYN" }, { TCP_SYNC, "\\" TCP_SYN" }'],
    ['(NEGATIVE)', '(-1)'],
    ['REC->len / sizeof(struct timespec64)', 'REC->len / 16'],
    // A number longer than the name does not fit where the name stood.
    ['X + 1', 'X + 1'],
    ['0xf, 1f, a.f, b->c.f, f', '0xf, 1f, a.f, b->c.f, 5'],
  ] as const) {
    assert.equal(replaceConstants(text, map), made);
  }
});
