import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Random } from '../../testing/random.js';
import { VMCS_LAYOUTS } from './layouts/all.js';
import { BOCHS_2_7 } from './layouts/bochs.js';
import { type SolverHints, solveLayout } from './solver.js';
import { controlPage, LINUX_GUEST, writeVmcs } from './testing/node.js';
import { fitLayout } from './vmcs-consistency.js';
import { fieldEncoded, fieldNamed } from './vmcs-fields.js';
import type { VmcsLayout } from './vmcs-layout.js';
import { vmcsRegisters } from './vmcs-registers.js';

const GUEST = { ...LINUX_GUEST, GUEST_DR7: 0x400n, GUEST_IA32_PAT: 0x0007_0406_0007_0406n };
const HINTS: SolverHints = {
  rip: 0xffff_ffff_81a5_92ebn,
  rsp: 0xffff_ffff_82a0_3e98n,
  hostRoot: 0x5ff_6000,
  eptRoot: 0x2fd0_6000,
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

function assertAgrees(solved: VmcsLayout | undefined, table: VmcsLayout): void {
  assert.ok(solved, table.name);
  for (const [encoding, offset] of solved.offsets) {
    const known = table.offsets.get(encoding);
    if (known !== undefined) assert.equal(offset, known, `${table.name}: ${fieldEncoded(encoding)?.name}`);
  }
  for (const name of NEEDED) assert.ok(solved.offsets.has(fieldNamed(name)?.encoding ?? -1), `${table.name}: ${name}`);
}

describe('the solver', () => {
  it('derives every known layout, and no place of a field is wrong', () => {
    for (const layout of VMCS_LAYOUTS) assertAgrees(solveLayout(writeVmcs(layout, GUEST), HINTS), layout);
  });

  it("derives Bochs' layout from a real page, and it equals the table", () => {
    const page = controlPage('vmcs_bochs27_rev2b_linux61');
    for (const hints of [HINTS, {}]) {
      const solved = solveLayout(page, hints);
      assertAgrees(solved, BOCHS_2_7);
      assert.equal(solved?.accessRights, 'rotated');
    }
  });

  it('gives a layout by which the registers can be read', () => {
    const page = controlPage('vmcs_bochs27_rev2b_linux61');
    const solved = solveLayout(page, HINTS);
    assert.ok(solved);
    const { general, control } = vmcsRegisters(page, fitLayout(page, solved));
    assert.equal(general.get('rip'), 0xffff_ffff_81a5_92ean);
    assert.equal(control.get('cr3'), 0x614_0002n);
    assert.equal(control.get('efer'), 0x500n);
  });

  it('has no answer for a page that is none', () => {
    assert.equal(solveLayout(new Uint8Array(4096)), undefined);
    assert.equal(solveLayout(new Uint8Array(100)), undefined);
    assert.equal(solveLayout(controlPage('vmcb_linux61_pa34840000')), undefined);
    assert.equal(solveLayout(controlPage('vmcs_bochs27_rev2b_linux61'), { ...HINTS, rip: 5n }), undefined);
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
