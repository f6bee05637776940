/** What a kernel handed over, read from its dump, the next kernel's, and the next kernel itself, against what both said. */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { physicalAddress } from '../../src/bytes/address.js';
import { viewOf } from '../../src/bytes/struct-table.js';
import { fdtChild, fdtValue, readFdt } from '../../src/handover/fdt/fdt.js';
import { HandoverReader, u64Of } from '../../src/handover/source-reader.js';
import { readVmalloc } from '../../src/handover/upstream/lists.js';
import type { KhoReport } from '../../src/report/schema/kho.js';
import type { KhoCheckReport } from '../../src/report/schema/kho-check.js';
import { scratchDirectory } from '../e2e/conversions.js';
import { NEXT, NEXT_TRUTH, OLD, OLD_TRUTH, RESERVED, RESERVED_BYTES, SAID, TAKEN, TAKEN_TRUTH } from './names.js';
import { bytesOf, exhume, handoverOf, opened, pathOf, said, told } from './support.js';

const PAGE = 4096;
const scratch = scratchDirectory();
const old = opened(OLD);
const next = opened(NEXT);
const outgoing = handoverOf(old, 'outgoing');
const incoming = handoverOf(next, 'incoming');

/** Memory that the handover in the old kernel's dump names so. */
function area(what: string): { address: number; size: number } {
  const found = outgoing.users.flatMap(({ areas }) => areas).find((one) => one.what === what);
  assert.ok(found, what);
  return found;
}

function memoryAt(from: typeof old, address: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  from.memory.read(physicalAddress(address), bytes);
  return bytes;
}

test('the old kernel has one handover to the next, and nothing of it is broken', () => {
  assert.deepEqual(
    old.handovers.map(({ direction, compatible, series }) => [direction, compatible, series]),
    [['outgoing', 'kho-v4', 'upstream']],
  );
  assert.deepEqual(outgoing.damage, []);
  assert.deepEqual(
    outgoing.users.flatMap(({ damage }) => damage),
    [],
  );
});

test('the tree in its memory is, byte for byte, what the next kernel says it was given', () => {
  const given = bytesOf(NEXT_TRUTH, 'kho/in/fdt');
  assert.ok(outgoing.address !== undefined);
  assert.deepEqual(memoryAt(old, outgoing.address, outgoing.tree.totalSize), given);
  assert.equal(incoming.address, outgoing.address);
  assert.deepEqual(incoming.tree, outgoing.tree);
});

test('each user has the description that the next kernel shows', () => {
  const shown = readdirSync(pathOf(NEXT_TRUTH, 'kho/in/sub_fdts')).sort();
  assert.deepEqual(outgoing.users.map(({ name }) => name).sort(), shown);
  assert.deepEqual(shown, ['LUO', 'kexec-metadata', 'kho_test', 'memblock']);
  for (const { name, blob } of outgoing.users) {
    assert.ok(blob);
    // Users free what they have taken, and then it is the next kernel's.
    const taken = ['LUO', 'kho_test'].includes(name);
    const given = bytesOf(NEXT_TRUTH, 'kho/in/sub_fdts', name);
    assert.equal(blob.size, given.length, name);
    if (!taken) assert.deepEqual(memoryAt(old, blob.address, blob.size), given, name);
  }
});

test('scratch memory is what the old kernel says in debugfs, and what its setup_data gave the next', () => {
  const numbers = (name: string): number[] => told(OLD_TRUTH, 'kho/out', name).trim().split('\n').map(Number);
  const sizes = numbers('scratch_len');
  const expected = numbers('scratch_phys').map((address, index) => ({ address, size: sizes[index] }));
  assert.deepEqual(sizes.slice(0, 2), [16 << 20, 128 << 20]);
  assert.deepEqual(outgoing.scratch, expected);
  assert.deepEqual(incoming.scratch, expected);
});

test("the next kernel's setup_data says what is found by it", () => {
  const [type] = readdirSync(pathOf(NEXT_TRUTH, 'setup_data')).filter(
    (name) => name.endsWith('.type') && Number(told(NEXT_TRUTH, 'setup_data', name)) === 10,
  );
  assert.ok(type);
  const data = viewOf(bytesOf(NEXT_TRUTH, 'setup_data', type.replace('.type', '.data')));
  assert.equal(data.byteLength, 32);
  assert.equal(Number(data.getBigUint64(0, true)), incoming.address);
  assert.equal(Number(data.getBigUint64(24, true)), incoming.scratch.length * 16);
});

/** By kprobes, from before the first page was preserved until just before the end. */
function accountOfKernel(): string[] {
  const kept = new Set<string>();
  for (const [, what, pfn, order] of told(OLD_TRUTH, 'trace').matchAll(
    / (add|del): \(.*\) pfn=0x([0-9a-f]+) order=(\d+)$/gm,
  )) {
    const block = `${Number(`0x${pfn}`) * PAGE} ${order}`;
    if (what === 'add') kept.add(block);
    else kept.delete(block);
  }
  return [...kept].sort();
}

test('the map has exactly the pages that the kernel was seen to preserve, and did not give up', () => {
  // The probes are there when the kernel has preserved its tree and its own description.
  const metadata = outgoing.users.find(({ name }) => name === 'kexec-metadata')?.blob;
  const account = [...accountOfKernel(), `${outgoing.address} 0`, `${metadata?.address} 0`].sort();
  assert.ok(account.length > 1000, `${account.length} blocks`);
  const blocks = (outgoing.preserved?.blocks ?? []).map(({ address, order }) => `${address} ${order}`);
  assert.deepEqual([...blocks].sort(), account);
  const orders = new Set(blocks.map((block) => block.split(' ')[1]));
  for (const order of ['0', '8', '9']) assert.ok(orders.has(order), `order ${order}`);
});

test('everything that is preserved has an owner but the pages of the test module', () => {
  const { handovers } = said<KhoReport>('kho', 'map', pathOf(OLD));
  const blocks = handovers[0]?.preserved?.blocks ?? [];
  const total = blocks.reduce((sum, { size }) => sum + size, 0);
  assert.equal(total, handovers[0]?.preserved?.bytes);
  const unowned = blocks.filter(({ owner }) => owner === null).map(({ address }) => Number(address));
  const tested = new Set(testFolios().flatMap(({ address, size }) => pagesOf(address, size)));
  assert.deepEqual(
    unowned.filter((address) => !tested.has(address)),
    [],
  );
  assert.ok(blocks.every((block) => !block.scratch));
});

function pagesOf(address: number, size: number): number[] {
  return Array.from({ length: size / PAGE }, (_, index) => address + index * PAGE);
}

function testTree() {
  const user = outgoing.users.find(({ name }) => name === 'kho_test');
  assert.ok(user?.blob);
  const data = fdtChild(readFdt(memoryAt(old, user.blob.address, user.blob.size)).root, 'data');
  assert.ok(data);
  return data;
}

/** What lib/test_kho.c preserves: folios, and a list of them that was mapped as one; the lists too. */
function testFolios(): { address: number; size: number; data: boolean }[] {
  const data = testTree();
  const list = readVmalloc(new HandoverReader(old.memory), viewOf(fdtValue(data, 'folios_info') ?? new Uint8Array(16)));
  const count = viewOf(fdtValue(data, 'nr_folios') ?? new Uint8Array(4)).getUint32(0, true);
  const bytes = Buffer.concat(list.pieces.map(({ address, size }) => memoryAt(old, address, size)));
  const folios = Array.from({ length: count }, (_, index) => {
    const entry = Number(bytes.readBigUInt64LE(index * 8));
    return { address: entry - (entry % PAGE), size: PAGE << (entry % PAGE), data: true };
  });
  return [...folios, ...[...list.pieces, ...list.own].map((one) => ({ ...one, data: false }))];
}

test("the test module's folios have the sum that it computed, in the old kernel's memory; the next took them", () => {
  const folios = testFolios().filter(({ data }) => data);
  // As many, of any orders, as make up twice the largest.
  assert.equal(
    folios.reduce((sum, { size }) => sum + size, 0),
    8 << 20,
  );
  let sum = 0;
  for (const { address, size } of folios) {
    const words = new Uint16Array(new Uint8Array(memoryAt(old, address, size)).buffer);
    for (const word of words) sum += word;
  }
  const fold = (value: number): number =>
    value > 0xffff ? fold((value % 0x10000) + Math.floor(value / 0x10000)) : value;
  const kept = viewOf(fdtValue(testTree(), 'csum') ?? new Uint8Array(4)).getUint32(0, true);
  assert.equal(fold(sum), fold(kept));
  assert.match(told(NEXT_TRUTH, 'dmesg'), /KHO restore succeeded/);
});

test('reserve_mem is where the next kernel found it again', () => {
  const reserved = area(`reserve_mem ${RESERVED}`);
  assert.equal(reserved.size, RESERVED_BYTES);
  assert.match(told(NEXT_TRUTH, 'dmesg'), new RegExp(`Revived memory reservation '${RESERVED}'`));
});

test('kexec-metadata says which kernel wrote it, as the next kernel says it', () => {
  const { handovers } = said<KhoReport>('kho', 'show', pathOf(OLD));
  const lines = handovers[0]?.users.find(({ name }) => name === 'kexec-metadata')?.lines ?? [];
  const value = (name: string) => lines.find((line) => line.name === name)?.value;
  const [, release, count] = /KHO: exec from: (\S+) \(count (\d+)\)/.exec(told(NEXT_TRUTH, 'dmesg')) ?? [];
  assert.equal(value('previous_release'), release);
  assert.equal(value('kexec_count'), count);
});

/** Every file of every session, `SESSION/TOKEN`. */
const FILES = readdirSync(pathOf(OLD_TRUTH, 'files')).flatMap((session) =>
  readdirSync(pathOf(OLD_TRUTH, 'files', session)).map((token) => `${session}/${token}`),
);

test('the next kernel gave its processes the bytes that the old one had', () => {
  assert.ok(FILES.length > 70);
  for (const file of FILES) {
    const [before, after] = [bytesOf(OLD_TRUTH, 'files', file), bytesOf(TAKEN_TRUTH, 'files', file)];
    assert.ok(before.equals(after), file);
  }
});

for (const [dump, handover] of [
  [OLD, outgoing],
  [NEXT, incoming],
] as const) {
  test(`${dump}: every file that is handed over is named, with its size`, () => {
    const sizes = new Map(FILES.map((file) => [file, bytesOf(OLD_TRUTH, 'files', file).length]));
    assert.deepEqual(new Map(handover.files.map(({ name, size }) => [name, size])), sizes);
  });

  test(`${dump}: the bytes of each file, extracted, are what the guest read in it`, () => {
    for (const [index, file] of FILES.entries()) {
      // A process for each would take minutes: some, and those that are special.
      if (file.startsWith('many/') && index % 20 !== 0) continue;
      const out = join(scratch, 'file');
      const { status, stderr } = exhume('kho', 'extract', pathOf(dump), file, '-o', out);
      assert.equal(status, 0, `${file}: ${stderr}`);
      assert.ok(readFileSync(out).equals(bytesOf(OLD_TRUTH, 'files', file)), file);
    }
  });
}

test('sessions without files, and one with the longest name, are there', () => {
  const { handovers } = said<KhoReport>('kho', 'show', pathOf(OLD));
  const lines = handovers[0]?.users.find(({ name }) => name === 'LUO')?.lines ?? [];
  const names = lines.flatMap(({ name }) => (name.startsWith('session ') ? [name.slice(8)] : []));
  const sessions = readdirSync(pathOf(OLD_TRUTH, 'files'));
  const empty = Array.from({ length: 60 }, (_, index) => `empty ${index}`);
  assert.deepEqual(names.sort(), [...sessions, ...empty].sort());
});

test('check finds nothing wrong with the old kernel, also against the next', () => {
  for (const target of [[], ['--target', pathOf(NEXT)]]) {
    const { status, stdout } = exhume('kho', 'check', pathOf(OLD), ...target, '--json');
    const report: KhoCheckReport = JSON.parse(stdout);
    assert.deepEqual(
      report.handovers.flatMap(({ findings }) => findings),
      [],
    );
    assert.deepEqual([status, report.passed], [0, true]);
  }
});

test('check passes on the next kernel, which has its own handover too, and says that the map is not there any more', () => {
  for (const file of [NEXT, TAKEN]) {
    const { status, stdout } = exhume('kho', 'check', pathOf(file), '--json');
    const report: KhoCheckReport = JSON.parse(stdout);
    assert.equal(status, 0, stdout);
    const found = report.handovers.map(({ direction, findings }) => [direction, findings.map(({ check }) => check)]);
    assert.deepEqual(found, [
      ['outgoing', []],
      ['incoming', ['map']],
    ]);
  }
});

test("the copies of debugfs, with the dumps' memory, are read as the dumps are", () => {
  for (const [truth, dump, handover] of [[NEXT_TRUTH, NEXT, incoming]] as const) {
    const { handovers } = said<KhoReport>('kho', 'show', pathOf(truth, 'kho'), '--memory', pathOf(dump));
    const found = handovers.find(({ direction }) => direction === handover.direction);
    assert.ok(found);
    assert.deepEqual(
      found.files.map(({ name, size }) => [name, size]),
      handover.files.map(({ name, size }) => [name, size]),
    );
  }
});

test("the old kernel's own copy of its tree is cut off; what is left of it is told", () => {
  const { handovers } = said<KhoReport>('kho', 'show', pathOf(OLD_TRUTH, 'kho'));
  const [copy] = handovers;
  assert.equal(handovers.length, 1);
  assert.ok(bytesOf(OLD_TRUTH, 'kho/out/fdt').length < (copy?.totalSize ?? 0));
  assert.equal(copy?.compatible, 'kho-v4');
  const { status, stdout } = exhume('kho', 'check', pathOf(OLD_TRUTH, 'kho'), '--json');
  const report: KhoCheckReport = JSON.parse(stdout);
  // Nothing is wrong with what could be looked at; not all could.
  assert.deepEqual([status, report.passed, report.complete], [1, true, false]);
  assert.ok(report.handovers[0]?.findings.some(({ check, severity }) => check === 'tree' && severity === 'note'));
});

test('inside the next kernel, exhume on /proc/kcore finds the same', () => {
  const answer = <T>(name: string): T => {
    assert.ok(existsSync(pathOf(TAKEN_TRUTH, SAID, name)));
    assert.equal(told(TAKEN_TRUTH, SAID, `${name}.status`).trim(), '0', told(TAKEN_TRUTH, SAID, `${name}.err`));
    return JSON.parse(told(TAKEN_TRUTH, SAID, name));
  };
  const live = answer<KhoReport>('show').handovers.find(({ direction }) => direction === 'incoming');
  assert.ok(live);
  assert.equal(Number(live.address), incoming.address);
  assert.deepEqual(
    live.files.map(({ name, size }) => [name, size]),
    incoming.files.map(({ name, size }) => [name, size]),
  );
  answer('check');
  assert.equal(told(TAKEN_TRUTH, SAID, 'extract.status').trim(), '0', told(TAKEN_TRUTH, SAID, 'extract.err'));
  assert.ok(bytesOf(TAKEN_TRUTH, 'extracted').equals(bytesOf(OLD_TRUTH, 'files/vm/1')));
});

test('LUO counts the updates', () => {
  const root = handoverOf(old, 'outgoing').users.find(({ name }) => name === 'LUO');
  const number = root?.content?.values.find(({ name }) => name === 'liveupdate_num')?.value;
  assert.match(told(NEXT_TRUTH, 'dmesg'), new RegExp(`liveupdate number: ${number}\\b`));
  assert.equal(u64Of(fdtValue(outgoing.tree.root, 'preserved-memory-map')) !== undefined, true);
});
