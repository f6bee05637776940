import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pfn } from '../../bytes/address.js';
import { type ByteSource, MemorySource } from '../../bytes/byte-source.js';
import { isExhumeError } from '../../bytes/errors.js';
import type { Container } from '../../dump/container.js';
import { openDump } from '../../dump/open.js';
import { openMachine } from '../../machine/open.js';
import { Random } from '../../testing/random.js';
import { OPENERS } from '../openers.js';
import { blockBytes, KERNEL_GS_BASE, type QemuCoreSpec, writeQemuCore } from '../testing/qemu-core.js';

const PAGE = 4096;
const SPEC: QemuCoreSpec = {
  version: '7.2',
  blocks: [
    { name: 'pc.ram', size: 8 * PAGE },
    { name: 'pc.bios', size: 2 * PAGE },
    { name: 'm1', size: 4 * PAGE },
  ],
  view: [
    [0, 0, 0, 4 * PAGE],
    [1, 0, 0xfffc_0000, 2 * PAGE],
    [0, 4 * PAGE, 0x1_0000_0000, 4 * PAGE],
    [2, 0, 0x2_0000_0000, 4 * PAGE],
  ],
  cpus: [
    { rip: 0xffff_ffff_8100_0000n, rsp: 0xffff_ffff_8260_3e98n },
    { rip: 0xffff_ffff_8100_1000n, rsp: 0xffff_ffff_8270_3e98n },
    { rip: 0xffff_ffff_8100_2000n, rsp: 0xffff_ffff_8280_3e98n },
  ],
  arguments: ['qemu-system-x86_64', '-name', 'guest=al,,pha,debug-threads=on', '-m', '32K'],
};

function open(spec: QemuCoreSpec, ...others: ByteSource[]): Container {
  return openDump([new MemorySource(writeQemuCore(spec), 'qemu.core'), ...others], { openers: OPENERS });
}

for (const version of ['7.2', '11.1'] as const) {
  test(`the core of QEMU ${version} is its guest: memory where QEMU had it, CPUs in their order, exact registers`, () => {
    const container = open({ ...SPEC, version });
    assert.deepEqual(container.damage, []);
    const { memory } = container;
    assert.deepEqual(
      memory.ranges().map(({ start, end }) => [start, end]),
      [
        [0, 4 * PAGE],
        [0xfffc_0000, 0xfffc_0000 + 2 * PAGE],
        [0x1_0000_0000, 0x1_0000_0000 + 4 * PAGE],
        [0x2_0000_0000, 0x2_0000_0000 + 4 * PAGE],
      ],
    );
    const ram = blockBytes(0, 8 * PAGE);
    assert.deepEqual(memory.bytes(0, 4 * PAGE), ram.subarray(0, 4 * PAGE));
    assert.deepEqual(memory.bytes(0x1_0000_0000, 4 * PAGE), ram.subarray(4 * PAGE));
    assert.deepEqual(memory.bytes(0x2_0000_0000, 4 * PAGE), blockBytes(2, 4 * PAGE));
    const { cpus } = openMachine(container);
    assert.equal(cpus.length, 3);
    cpus.forEach((cpu, i) => {
      assert.equal(cpu.registers?.get('rip'), SPEC.cpus[i]?.rip);
      assert.equal(cpu.registers?.get('rsp'), SPEC.cpus[i]?.rsp);
      assert.equal(cpu.registers?.get('rax'), BigInt(0x1000 + 16 * i));
      assert.equal(cpu.registers?.get('r15'), BigInt(0x1000 + 16 * i + 15));
      assert.equal(cpu.registers?.get('rflags'), 0x246n);
      assert.equal(cpu.control?.get('cr3'), 0x1000n);
      assert.equal(cpu.control?.get('kernel_gs_base'), KERNEL_GS_BASE);
      assert.equal(cpu.segments.find(({ name }) => name === 'idt')?.limit, 0xfff);
    });
  });
}

test('the process is told: its arguments, the signal and the assertion that ended it', () => {
  const abortMessage = "qemu: ../hw/foo.c:12: foo_bar: Assertion `x == 1' failed.\n";
  const { process, description } = open({ ...SPEC, abortMessage });
  assert.equal(description, 'guest al,pha in the core of process 1000 (qemu-system-x86)');
  assert.deepEqual(process?.commandLine, SPEC.arguments);
  assert.equal(process?.accelerator, 'TCG');
  assert.deepEqual(process?.death, {
    signal: 'SIGABRT',
    detail: 'it sent it itself',
    thread: 1000,
    where: '/lib/libc.so.6+0x2345',
    messages: [abortMessage.trim()],
  });
});

test('memory that is not in the core is excluded, and what would have kept it is said', () => {
  const [ram, ...rest] = SPEC.blocks;
  const container = open({ ...SPEC, blocks: [{ name: ram?.name ?? '', size: 8 * PAGE, excluded: true }, ...rest] });
  assert.equal(container.memory.page(pfn(0)), 'excluded');
  assert.deepEqual(container.memory.page(pfn(0xfffc0)), blockBytes(1, PAGE));
  assert.equal(container.damage.length, 1);
  assert.match(container.damage[0]?.message ?? '', /32 KiB .* \(pc\.ram\) .* dump-guest-core=on/);
});

test('a file that had the memory may be named as well', () => {
  const file = { name: 'm1', size: 4 * PAGE, excluded: true, file: '/dev/shm/m1' };
  const spec = { ...SPEC, blocks: [...SPEC.blocks.slice(0, 2), file] };
  const without = open(spec);
  assert.equal(without.memory.page(pfn(0x200000)), 'excluded');
  assert.match(without.damage[0]?.message ?? '', /in the file \/dev\/shm\/m1: name it with --part FILE/);
  const bytes = blockBytes(5, 4 * PAGE);
  const container = open(spec, new MemorySource(bytes, '/srv/copies/m1'));
  assert.deepEqual(container.damage, []);
  assert.deepEqual(container.memory.bytes(0x2_0000_0000, 4 * PAGE), bytes);
  assert.deepEqual(container.memory.bytes(0, PAGE), blockBytes(0, PAGE));
});

test('without a view of QEMU, memory is laid out by the rule of its machine', () => {
  const { view: _, ...spec } = SPEC;
  const { memory, facts } = open(spec);
  assert.deepEqual(memory.bytes(0, 8 * PAGE), blockBytes(0, 8 * PAGE));
  assert.deepEqual(memory.bytes(8 * PAGE, 4 * PAGE), blockBytes(2, 4 * PAGE));
  assert.match(facts.find(({ name }) => name === 'guest-physical map')?.note ?? '', /the layout of/);
});

test('under KVM the registers of CPUs that were inside the guest are said to be old', () => {
  const container = open({ ...SPEC, kvm: 'in' });
  assert.equal(container.process?.accelerator, 'KVM');
  assert.match(container.process?.stale ?? '', /^CPU 0, 1, 2: it was inside the guest \(KVM_RUN\)/);
  for (const { stale } of openMachine(container).cpus) assert.match(stale ?? '', /KVM_RUN/);
});

for (const version of ['7.2', '11.1'] as const) {
  test(`under KVM the registers that QEMU ${version} had asked for and not given back are those of the CPU`, () => {
    const container = open({ ...SPEC, version, kvm: [true, false, true] });
    assert.match(container.process?.stale ?? '', /^CPU 1: it ran on since[^;]*$/);
    assert.deepEqual(
      openMachine(container).cpus.map(({ stale }) => stale === undefined),
      [true, false, true],
    );
    assert.equal(open({ ...SPEC, version, kvm: [true, true, true] }).process?.stale, undefined);
  });
}

test('the flags of a CPU that QEMU was executing are computed from its last operation', () => {
  const [first, ...rest] = SPEC.cpus;
  // The others rest, and their flags prove how operations are numbered: 14 is a subtraction in 7.2.
  const rested = rest.map((cpu) => ({ ...cpu, eflags: 0x287n, condition: [14, 0xf0n, 0x20n, 0n] as const }));
  const running = { rip: 0n, rsp: 0n, ...first, eflags: 0x202n, condition: [15, 0xff00n, 0x200n, 0n] as const };
  const { cpus } = openMachine(open({ ...SPEC, cpus: [running, ...rested] }));
  // 0x100 - 0x200 = 0xff00 in 16 bits: carry and sign, and no ones in the lowest byte.
  assert.equal(cpus[0]?.registers?.get('rflags'), 0x202n | 0x1n | 0x80n | 0x4n);
});

test('the core of another process is refused', () => {
  const bytes = writeQemuCore({ ...SPEC, blocks: [], view: [], cpus: [] });
  assert.throws(
    () => openDump([new MemorySource(bytes, 'a.core')], { openers: OPENERS }),
    (error) => isExhumeError(error, 'EXH_UNSUPPORTED_FORMAT') && /no QEMU machine is in it/.test(error.message),
  );
});

test('broken cores give an answer or an error of ours, whatever is broken', () => {
  const random = new Random(6);
  const whole = writeQemuCore({ ...SPEC, abortMessage: 'Assertion' });
  for (let i = 0; i < 60; i++) {
    const bytes = random.below(4) === 0 ? whole.slice(0, random.below(whole.length)) : whole.slice();
    // Headers, notes and the structures at the beginning of the heap are what matters.
    random.mutate(bytes.subarray(0, 12_000), 40);
    try {
      const container = openDump([new MemorySource(bytes, 'broken')], { openers: OPENERS });
      for (const { start } of container.memory.ranges()) container.memory.page(pfn(Math.floor(start / PAGE)));
      openMachine(container);
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
});
