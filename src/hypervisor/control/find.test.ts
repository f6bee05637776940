import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Pfn } from '../../bytes/address.js';
import type { Container } from '../../dump/container.js';
import { SparseMemory, TableWriter } from '../../dump/testing/sparse-memory.js';
import type { Machine } from '../../machine/machine.js';
import { openMachine } from '../../machine/open.js';
import { containerOf, loadFixture } from '../../machine/testing/node.js';
import { Random } from '../../testing/random.js';
import type { Findings } from '../find.js';
import { findControlGuests } from './find.js';
import { HASWELL } from './layouts/intel.js';
import { scanForControl } from './scan.js';
import { controlPage, LINUX_GUEST, writeVmcs } from './testing/node.js';
import type { VmcsLayout } from './vmcs-layout.js';
import { vmcsinfoBytes, vmcsinfoText } from './vmcsinfo.js';

const PAGE = 4096;
const DIRECT_MAP = 0xffff_8880_0000_0000n;
const VMCB_PFN = 0x40;
const VMCS_PFN = 0x50;
/** Where KVM's structure of a virtual CPU is, and in it the registers and the pointer to the control structure. */
const VCPU = 0x60 * PAGE + 0x128;
const POINTER_AFTER = 0x18f8;

/** A host's memory: `levels` of nested tables from page 0x100 on that map the guest page of CR3, to host page 0x200. */
function tables(memory: SparseMemory, cr3: number): number {
  const gfn = Math.floor(cr3 / PAGE);
  let pfn = 0x100;
  for (let level = 4; level > 1; level--) {
    const index = Math.floor(gfn / 512 ** (level - 1)) % 512;
    new TableWriter(memory, pfn).set(index, (pfn + 1) * PAGE, 7n);
    pfn++;
  }
  new TableWriter(memory, pfn).set(gfn % 512, 0x200 * PAGE, 7n);
  memory.at(0x200).fill(0x77);
  return 0x100 * PAGE;
}

function write(memory: SparseMemory, address: number, values: readonly bigint[]): void {
  for (const [i, value] of values.entries()) {
    const at = address + i * 8;
    new DataView(memory.at(Math.floor(at / PAGE)).buffer).setBigUint64(at % PAGE, value, true);
  }
}

/** A real VMCB with its nested root put where this memory has one. */
function amdHost(): SparseMemory {
  const memory = new SparseMemory();
  const page = controlPage('vmcb_linux61_pa34840000');
  const root = tables(memory, 0x294_a000);
  new DataView(page.buffer).setBigUint64(0xb0, BigInt(root), true);
  memory.at(VMCB_PFN).set(page);
  return memory;
}

/** `kvm_vcpu_arch`: rax … r15, RIP, regs_avail, and control registers behind them. */
function vcpu(memory: SparseMemory, rip: bigint, rsp: bigint, available: bigint, control: readonly bigint[]): void {
  const general = Array.from({ length: 16 }, (_, i) => BigInt(0x1000 + i));
  general[4] = rsp;
  write(memory, VCPU, [...general, rip, available, 0n, ...control]);
}

function find(memory: SparseMemory, notes: Container['notes'] = []): Findings {
  const container = { ...containerOf({}), memory, notes };
  const machine = { cpus: [] as readonly unknown[] } as Machine;
  const found = findControlGuests({ container, machine, kernel: undefined });
  assert.ok(found);
  return found;
}

describe("a guest by its processor's structures alone", () => {
  it('has its memory, and the registers of the VMCB', () => {
    const { guests, evidence } = find(amdHost());
    assert.match(evidence[0]?.answer ?? '', /1 VMCBs, 0 VMCSs/);
    const [guest] = guests;
    assert.equal(guests.length, 1);
    assert.equal(guest?.how, 'control structures');
    assert.equal(guest.memory.describedBytes(), PAGE);
    const page = guest.memory.page((0x294_a000 / PAGE) as Pfn);
    assert.equal(typeof page === 'string' ? page : page[0], 0x77);
    const [cpu] = guest.cpus;
    assert.equal(cpu?.state, 'halted');
    assert.equal(cpu.registers?.general.get('rip'), 0xffff_ffff_b985_92ean);
    assert.equal(cpu.registers?.general.has('rbx'), false);
    assert.match(cpu.source, /the VMCB at 0x40000 alone/);
  });

  it("has KVM's registers, found by a pointer to the VMCB: they are an instruction further", () => {
    const memory = amdHost();
    vcpu(memory, 0xffff_ffff_b985_92ebn, 0xffff_ffff_ba80_3e98n, 0x1_ffffn, [0x8005_0033n, 0n, 0n, 0x35_06f0n, 0xd01n]);
    write(memory, VCPU + POINTER_AFTER, [DIRECT_MAP + BigInt(VMCB_PFN * PAGE)]);
    const cpu = find(memory).guests[0]?.cpus[0];
    assert.match(cpu?.source ?? '', /found by pointer/);
    assert.equal(cpu?.registers?.general.get('rip'), 0xffff_ffff_b985_92ebn);
    assert.equal(cpu?.registers?.general.get('rbx'), 0x1003n);
    assert.equal(cpu?.registers?.general.get('r15'), 0x100fn);
    assert.equal(cpu?.registers?.general.get('rsp'), 0xffff_ffff_ba80_3e98n);
  });

  it("does not take another virtual CPU's registers", () => {
    const memory = amdHost();
    vcpu(memory, 0xffff_ffff_b985_9200n, 0xffff_ffff_ba80_3e98n, 0x1_ffffn, [0x8005_0033n, 0n, 0n, 0x35_06f0n, 0xd01n]);
    write(memory, VCPU + POINTER_AFTER, [DIRECT_MAP + BigInt(VMCB_PFN * PAGE)]);
    assert.match(find(memory).guests[0]?.cpus[0]?.source ?? '', /alone/);
  });

  it('is found by a VMCS, whose stack pointer is newer than what KVM has', () => {
    const memory = new SparseMemory();
    const root = tables(memory, 0x614_0000);
    const values = { ...LINUX_GUEST, EPT_POINTER: BigInt(root) | 0x5en };
    memory.at(VMCS_PFN).set(writeVmcs(HASWELL, values));
    vcpu(memory, 0xffff_ffff_81a5_92ebn, 0n, 0xfe21_ffefn, [0x8005_0033n, 0n, 0n, 0x17_26f0n, 0xd01n]);
    write(memory, VCPU + POINTER_AFTER, [DIRECT_MAP + BigInt(VMCS_PFN * PAGE)]);
    const [guest] = find(memory).guests;
    const general = guest?.cpus[0]?.registers?.general;
    assert.equal(general?.get('rsp'), LINUX_GUEST['GUEST_RSP']);
    assert.equal(general?.get('rip'), 0xffff_ffff_81a5_92ebn);
    assert.equal(general?.get('rbx'), 0x1003n);
    assert.match(guest?.evidence.find(({ question }) => question === 'VMCS layout')?.answer ?? '', /Haswell/);
  });

  it('is found in a layout that nobody knew, by a note in the same memory', () => {
    const memory = new SparseMemory();
    const root = tables(memory, 0x614_0000);
    // As Haswell's, each field 64 bytes further.
    const moved = new Map([...HASWELL.offsets].map(([encoding, offset]) => [encoding, offset + 64]));
    const layout: VmcsLayout = { ...HASWELL, name: 'unknown', offsets: moved, revisions: [0x33] };
    memory.at(VMCS_PFN).set(writeVmcs(layout, { ...LINUX_GUEST, EPT_POINTER: BigInt(root) | 0x5en }));
    assert.deepEqual(find(memory).guests, []);
    const note = vmcsinfoBytes(vmcsinfoText(layout, 0x33));
    for (let at = 0; at < note.length; at += PAGE) memory.at(0x300 + at / PAGE).set(note.subarray(at, at + PAGE));
    const [guest] = find(memory).guests;
    assert.equal(guest?.cpus[0]?.registers?.general.get('rip'), LINUX_GUEST['GUEST_RIP']);
  });

  it("is left out when its nested table leads nowhere: it is a guest's guest", () => {
    const memory = amdHost();
    new DataView(memory.at(VMCB_PFN).buffer).setBigUint64(0x550, 0x777_7000n, true);
    const { guests, evidence } = find(memory);
    assert.deepEqual(guests, []);
    assert.match(evidence.at(-1)?.detail ?? '', /guest's guest/);
  });

  it('whose memory is encrypted is named and refused', () => {
    const memory = amdHost();
    memory.at(VMCB_PFN)[0x90] = 7;
    const [guest] = find(memory).guests;
    assert.match(guest?.refused?.reason ?? '', /encrypted \(SEV-ES\)/);
    assert.equal(guest?.cpus[0]?.registers, undefined);
  });

  it('is none in the memory of a machine without guests', () => {
    for (const name of ['linux-7.2', 'linux-6.1-pti']) {
      const { container } = loadFixture(name);
      const machine = openMachine(container);
      assert.deepEqual(findControlGuests({ container, machine, kernel: undefined })?.guests, []);
    }
  });

  it('is looked for in any memory', () => {
    const random = new Random(64);
    for (let round = 0; round < 60; round++) {
      const memory = amdHost();
      memory.at(VMCS_PFN).set(writeVmcs(random.pick([HASWELL]), { ...LINUX_GUEST, EPT_POINTER: 0x10_005en }));
      for (const pfn of [VMCB_PFN, VMCS_PFN, 0x100, 0x101, 0x102, 0x103]) random.mutate(memory.at(pfn), 12);
      const { found } = scanForControl(memory);
      assert.ok(found.length <= 2);
      for (const guest of find(memory).guests) assert.ok(guest.cpus.length > 0);
    }
  });
});
