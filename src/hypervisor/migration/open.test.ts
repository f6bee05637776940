import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'fflate';
import { pfn } from '../../bytes/address.js';
import { MemorySource } from '../../bytes/byte-source.js';
import { isExhumeError } from '../../bytes/errors.js';
import type { Container } from '../../dump/container.js';
import { openDump } from '../../dump/open.js';
import { writeQcow2 } from '../../dump/testing/qcow2-writer.js';
import { openMachine } from '../../machine/open.js';
import { Random } from '../../testing/random.js';
import { OPENERS } from '../openers.js';
import { type StreamSpec, writeLibvirtSave, writeStream } from '../testing/migration-stream.js';

const PAGE = 4096;
const FIRMWARE = 0xfffff;
const page = (seed: number): Uint8Array => Uint8Array.from({ length: PAGE }, (_, i) => (i * seed) & 0xff);
const SPEC: StreamSpec = {
  machine: 'pc-q35-11.1',
  blocks: [
    ['pc.ram', 6],
    ['/rom@etc/acpi/tables', 1],
    ['pc.bios', 1],
  ],
  pages: [
    [0, 0, page(3)],
    [0, 1, 0],
    [0, 2, page(5), true],
    [2, 0, page(7)],
    [0, 3, 0xcc],
    [0, 0, page(11)],
    [0, 5, page(13)],
  ],
  cpus: [
    { rip: 0xffff_ffff_8100_0000n, halted: true },
    { rip: 0xffff_ffff_8100_1000n, halted: false },
  ],
};

function open(bytes: Uint8Array, snapshot?: string): Container {
  const which = snapshot === undefined ? {} : { snapshot };
  return openDump([new MemorySource(bytes, 'stream')], { openers: OPENERS, ...which });
}

test('pages of a stream: as they came last, filled, compressed; what did not come is excluded', () => {
  const { memory, damage } = open(writeStream(SPEC));
  assert.deepEqual(damage, []);
  assert.deepEqual(
    memory.ranges().map(({ start, end }) => [start, end]),
    [
      [0, 6 * PAGE],
      [FIRMWARE * PAGE, (FIRMWARE + 1) * PAGE],
    ],
  );
  assert.deepEqual(memory.page(pfn(0)), page(11));
  assert.deepEqual(memory.page(pfn(1)), new Uint8Array(PAGE));
  assert.deepEqual(memory.page(pfn(2)), page(5));
  assert.deepEqual(memory.page(pfn(3)), new Uint8Array(PAGE).fill(0xcc));
  assert.equal(memory.page(pfn(4)), 'excluded');
  assert.deepEqual(memory.page(pfn(5)), page(13));
  assert.deepEqual(memory.page(pfn(FIRMWARE)), page(7));
  assert.equal(memory.page(pfn(6)), 'absent');
});

for (const described of [false, true]) {
  test(`CPUs of a stream ${described ? 'that describes itself' : 'without a description'}`, () => {
    const container = open(writeStream({ ...SPEC, described }));
    const { cpus } = openMachine(container);
    assert.deepEqual(
      cpus.map(({ registers }) => registers?.get('rip')),
      SPEC.cpus.map(({ rip }) => rip),
    );
    assert.equal(cpus[1]?.registers?.get('rbx'), 0x1013n);
    assert.equal(cpus[1]?.registers?.get('rflags'), 0x246n);
    assert.equal(cpus[0]?.control?.get('cr3'), 0x1000n);
    assert.equal(cpus[0]?.control?.get('kernel_gs_base'), 0xffff_8880_0010_0000n);
    assert.equal(cpus[0]?.segments.find(({ name }) => name === 'idt')?.limit, 0xfff);
    const states = container.facts.filter(({ name }) => name.startsWith('CPU ')).map(({ value }) => String(value));
    assert.match(states[0] ?? '', /^halted/);
    assert.match(states[1] ?? '', /^running/);
  });
}

test('devices may stand before the memory', () => {
  assert.deepEqual(open(writeStream({ ...SPEC, early: true })).memory.page(pfn(0)), page(11));
});

test('mapped RAM: pages at their places, zeros where the bitmap has none', () => {
  const { memory, damage } = open(writeStream({ ...SPEC, mappedRam: true }));
  assert.deepEqual(damage, []);
  assert.deepEqual(memory.page(pfn(0)), page(11));
  assert.deepEqual(memory.page(pfn(4)), new Uint8Array(PAGE));
  assert.deepEqual(memory.page(pfn(5)), page(13));
  assert.deepEqual(memory.page(pfn(FIRMWARE)), page(7));
});

test('a snapshot in a qcow2 image: the stream in it, and which one it is', () => {
  const other = { id: '1', name: 'before', seconds: 5, state: writeStream({ ...SPEC, machine: 'pc-i440fx-7.2' }) };
  const image = writeQcow2({
    version: 3,
    snapshots: [other, { id: '2', name: 'moment', seconds: 9, state: writeStream(SPEC) }],
  });
  const container = open(image);
  assert.deepEqual(container.damage, []);
  assert.equal(container.description, 'guest pc-q35-11.1 in snapshot moment in a qcow2 image');
  assert.deepEqual(container.memory.page(pfn(5)), page(13));
  assert.deepEqual(
    container.facts
      .filter(({ name }) => name === 'snapshot')
      .map(({ value, note }) => [value, note?.includes('taken: the newest')]),
    [
      ['1 before', false],
      ['2 moment', true],
    ],
  );
  assert.equal(open(image, 'before').description, 'guest pc-i440fx-7.2 in snapshot before in a qcow2 image');
  assert.throws(() => open(writeStream(SPEC), 'moment'), { code: 'EXH_USAGE', message: /is no qcow2 image/ });
  assert.throws(() => open(writeQcow2({ version: 3, snapshots: [] })), { code: 'EXH_UNSUPPORTED_FORMAT' });
});

test("libvirt's saved state: its stream, the domain's name; one that is packed otherwise is refused with what to do", () => {
  for (const bytes of [writeLibvirtSave(writeStream(SPEC), 0), writeLibvirtSave(gzipSync(writeStream(SPEC)), 1)]) {
    const container = open(bytes);
    assert.equal(container.description, "guest web in libvirt's saved state");
    assert.deepEqual(container.memory.page(pfn(5)), page(13));
  }
  assert.throws(
    () => open(writeLibvirtSave(Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff), 1)),
    (error) => isExhumeError(error),
  );
  assert.throws(
    () => open(writeLibvirtSave(Uint8Array.of(0xfd, 0x37, 0x7a), 3)),
    (error) =>
      isExhumeError(error, 'EXH_UNSUPPORTED_FORMAT') && /tail -c \+138 FILE \| xz -dc/.test(String(error.data.hint)),
  );
});

test('a stream that is cut off has lost what it does not have', () => {
  const whole = writeStream(SPEC);
  const { memory, incomplete, damage } = open(whole.subarray(0, whole.length - 6 * PAGE));
  assert.equal(incomplete, true);
  assert.ok(damage.length > 0);
  assert.equal(memory.page(pfn(5)), 'lost');
});

test('broken streams give an answer or an error of ours, whatever is broken', () => {
  const random = new Random(11);
  const inputs = [writeStream(SPEC), writeStream({ ...SPEC, mappedRam: true, described: true })];
  for (let i = 0; i < 300; i++) {
    const whole = inputs[i % 2] as Uint8Array;
    const bytes = random.below(4) === 0 ? whole.slice(0, random.below(whole.length)) : whole.slice();
    random.mutate(random.below(2) === 0 ? bytes.subarray(8, 300) : bytes, 20);
    try {
      const container = open(bytes);
      for (let at = 0; at < 8; at++) container.memory.page(pfn(at));
      openMachine(container);
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
});
