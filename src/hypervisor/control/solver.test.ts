import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Random } from '../../testing/random.js';
import { VMCS_LAYOUTS } from './layouts/all.js';
import { BOCHS_2_7 } from './layouts/bochs.js';
import { HASWELL } from './layouts/intel.js';
import { type KnownValue, type Solution, solveVmcs, type VmcsWitness } from './solver.js';
import { controlPage, LINUX_GUEST, writeVmcs } from './testing/node.js';
import { fitLayout } from './vmcs-consistency.js';
import { fieldEncoded, fieldNamed } from './vmcs-fields.js';
import type { VmcsLayout } from './vmcs-layout.js';
import { vmcsRegisters } from './vmcs-registers.js';

const GUEST = {
  ...LINUX_GUEST,
  GUEST_DR7: 0x400n,
  GUEST_IA32_PAT: 0x0007_0406_0007_0406n,
  HOST_GS_BASE: 0xffff_8880_1f00_0000n,
  HOST_TR_BASE: 0xffff_fe00_0000_3000n,
};
/** What KVM has of the real page's vCPU, and of the one above. */
const KNOWN = {
  GUEST_RIP: { value: 0xffff_ffff_81a5_92ebn, behind: 15n },
  GUEST_RSP: { value: 0xffff_ffff_82a0_3e98n },
  HOST_CR3: { value: 0x5ff_6000n, bits: 0x000f_ffff_ffff_f000n },
  EPT_POINTER: { value: 0x2fd0_6000n, bits: 0x000f_ffff_ffff_f000n },
};
const NEEDED = [
  'GUEST_RIP',
  'GUEST_RSP',
  'GUEST_RFLAGS',
  'GUEST_CR0',
  'GUEST_CR3',
  'GUEST_CR4',
  'HOST_CR3',
  'HOST_RIP',
];

function witness(
  bytes: Uint8Array,
  known: Readonly<Record<string, Omit<KnownValue, 'from'>>> = {},
  name = 'a test',
): VmcsWitness {
  return {
    name,
    bytes,
    known: new Map(Object.entries(known).map(([field, told]) => [field, { ...told, from: name }])),
  };
}

function solveLayout(bytes: Uint8Array, known?: Parameters<typeof witness>[1]): VmcsLayout | undefined {
  return solveVmcs([witness(bytes, known)]).layout;
}

function fieldOf({ fields }: Solution, name: string): Solution['fields'][number] | undefined {
  return fields.find(({ field }) => field.name === name);
}

function assertAgrees(solved: VmcsLayout | undefined, table: VmcsLayout): void {
  assert.ok(solved, table.name);
  for (const [encoding, offset] of solved.offsets) {
    const known = table.offsets.get(encoding);
    if (known !== undefined) assert.equal(offset, known, `${table.name}: ${fieldEncoded(encoding)?.name}`);
  }
  for (const name of NEEDED) assert.ok(solved.offsets.has(fieldNamed(name)?.encoding ?? -1), `${table.name}: ${name}`);
}

/** A second vCPU of the same guest. */
const SECOND = {
  ...GUEST,
  VIRTUAL_PROCESSOR_ID: 2n,
  GUEST_RSP: 0xffff_c900_0007_3e90n,
  GUEST_RIP: 0xffff_ffff_8103_2513n,
  GUEST_CR3: 0x614_8000n,
  GUEST_GS_BASE: 0xffff_8880_0990_0000n,
  HOST_CR3: 0x61b_2000n,
  HOST_RSP: 0xffff_c900_0061_bc40n,
  VM_EXIT_REASON: 30n,
};

/** All that there is to know of a vCPU, as KVM's structures have it. */
function toldOf(values: Readonly<Record<string, bigint>>): Record<string, Omit<KnownValue, 'from'>> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value }]));
}

describe('the solver', () => {
  it('derives every known layout, and no place of a field is wrong', () => {
    for (const layout of VMCS_LAYOUTS) {
      const bytes = writeVmcs(layout, GUEST);
      assertAgrees(solveLayout(bytes, KNOWN), layout);
      const both = solveVmcs([
        witness(bytes, toldOf(GUEST)),
        witness(writeVmcs(layout, SECOND), toldOf(SECOND), 'another'),
      ]);
      assertAgrees(both.layout, layout);
      assert.ok((both.layout?.offsets.size ?? 0) > (solveLayout(bytes, KNOWN)?.offsets.size ?? 0), layout.name);
    }
  });

  it('needs more than one vCPU for small numbers, and says which are ambiguous', () => {
    const first = witness(writeVmcs(HASWELL, GUEST), toldOf(GUEST));
    const alone = fieldOf(solveVmcs([first]), 'VIRTUAL_PROCESSOR_ID');
    assert.equal(alone?.offset, undefined);
    const one = solveVmcs([first, witness(writeVmcs(HASWELL, SECOND), toldOf(SECOND), 'another')]);
    const both = fieldOf(one, 'VIRTUAL_PROCESSOR_ID');
    assert.equal(both?.offset, HASWELL.offsets.get(0));
    assert.equal(both?.witnesses, 2);
    assert.deepEqual(both?.from, ['a test', 'another']);
  });

  it('says of a value that is nowhere that it is', () => {
    const known = { ...KNOWN, TSC_OFFSET: { value: 0xdead_beef_1234n } };
    const field = fieldOf(solveVmcs([witness(writeVmcs(HASWELL, GUEST), known)]), 'TSC_OFFSET');
    assert.deepEqual([field?.offset, field?.places], [undefined, []]);
  });

  it("derives Bochs' layout from a real page, and it equals the table", () => {
    const page = controlPage('vmcs_bochs27_rev2b_linux61');
    for (const known of [KNOWN, {}]) {
      const solved = solveLayout(page, known);
      assertAgrees(solved, BOCHS_2_7);
      assert.equal(solved?.accessRights, 'rotated');
    }
  });

  it('gives a layout by which the registers can be read', () => {
    const page = controlPage('vmcs_bochs27_rev2b_linux61');
    const solved = solveLayout(page, KNOWN);
    assert.ok(solved);
    const fit = fitLayout(page, solved);
    assert.ok(fit.possible);
    const { general, control } = vmcsRegisters(page, fit);
    assert.equal(general.get('rip'), 0xffff_ffff_81a5_92ean);
    assert.equal(control.get('cr3'), 0x614_0002n);
    assert.equal(control.get('efer'), 0x500n);
  });

  it('takes the pages of one revision only', () => {
    const page = witness(controlPage('vmcs_bochs27_rev2b_linux61'), KNOWN);
    const other = witness(writeVmcs(HASWELL, SECOND), toldOf(SECOND));
    const { witnesses, layout } = solveVmcs([page, other, page]);
    assert.equal(witnesses.length, 2);
    assertAgrees(layout, BOCHS_2_7);
  });

  it('has no answer for a page that is none', () => {
    assert.equal(solveLayout(new Uint8Array(4096)), undefined);
    assert.equal(solveLayout(new Uint8Array(100)), undefined);
    assert.equal(solveVmcs([]).layout, undefined);
    assert.equal(solveLayout(controlPage('vmcb_linux61_pa34840000')), undefined);
    const wrong = { ...KNOWN, GUEST_RIP: { value: 5n } };
    assert.equal(solveLayout(controlPage('vmcs_bochs27_rev2b_linux61'), wrong), undefined);
  });

  it('may be given anything', () => {
    const random = new Random(4);
    for (let round = 0; round < 100; round++) {
      const page = controlPage('vmcs_bochs27_rev2b_linux61');
      random.mutate(page, 100);
      for (const offset of solveLayout(page)?.offsets.values() ?? []) assert.ok(offset >= 0 && offset < 4096);
    }
  });
});
