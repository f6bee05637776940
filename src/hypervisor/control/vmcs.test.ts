import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Random } from '../../testing/random.js';
import { accessRightsForm, descriptorFlags, packAccessRights, unpackAccessRights } from './access-rights.js';
import { describeControlPage } from './describe.js';
import { VMCS_LAYOUTS } from './layouts/all.js';
import { BOCHS_2_7, BOCHS_2_8, BOCHS_3_1 } from './layouts/bochs.js';
import { HASWELL, NEHALEM, PENRYN, WESTMERE } from './layouts/intel.js';
import { VMCS12 } from './layouts/vmcs12.js';
import { controlPage, fixtureText, LINUX_GUEST, writeVmcs } from './testing/node.js';
import { chooseLayout, fitLayout, fitLayouts } from './vmcs-consistency.js';
import { fieldEncoded, fieldNamed, VMCS_FIELDS } from './vmcs-fields.js';
import type { VmcsLayout } from './vmcs-layout.js';
import { vmcsRegisters } from './vmcs-registers.js';

const BOCHS = 'vmcs_bochs27_rev2b_linux61';

/** Rows of the published comparison: the encoding, then offsets by layout; undefined: its sources do not say. */
const COLUMNS = [VMCS12, PENRYN, NEHALEM, WESTMERE, HASWELL, BOCHS_2_7, BOCHS_2_8, BOCHS_3_1];
const ROWS: readonly (readonly (number | undefined)[])[] = [
  [0x0000, 0x3c0, undefined, 0x2f0, 0xdc, 0xce, 0x10, 0x10, 0x10],
  [0x0800, 0x3c4, 0x100, 0x200, 0x200, 0x20, 0x210, 0x110, 0x110],
  [0x0806, 0x3ca, undefined, 0x248, undefined, 0x50, 0x228, 0x128, 0x128],
  [0x0808, 0x3cc, 0x160, 0x260, 0x260, 0x80, 0x230, 0x130, 0x130],
  [0x080c, 0x3d0, 0x190, 0x290, 0x290, 0x60, 0x240, 0x140, 0x140],
  [0x080e, 0x3d2, 0x1a8, 0x2a8, 0x2a8, 0x70, 0x248, 0x148, 0x148],
  [0x201a, 0x78, undefined, 0xe8, 0x140, 0x140, 0x478, 0x278, 0x278],
  [0x2800, 0xb0, 0x20, 0xf8, 0xf8, 0xf8, 0x610, 0x490, 0x4b0],
  [0x2806, 0xc8, undefined, 0x110, 0x110, 0x110, 0x628, 0x4a8, 0x4c8],
  [0x280a, 0xd8, undefined, 0x3a0, 0x3a0, 0x220, 0x638, 0x4b8, 0x4d8],
  [0x4000, 0x2e8, 0x40, 0x128, 0x128, 0x128, 0x810, 0x710, 0x750],
  [0x4002, 0x2ec, 0x48, 0x120, 0x120, 0x120, 0x818, 0x718, 0x758],
  [0x400c, 0x300, 0x70, 0x13c, 0x15c, 0x15c, 0x840, 0x740, 0x780],
  [0x4012, 0x30c, 0x88, 0x148, 0x294, 0x2b8, 0x858, 0x758, 0x798],
  [0x401e, 0x324, 0x3f0, 0x124, 0x124, 0x124, 0x888, 0x788, 0x7c8],
  [0x4810, 0x368, 0x240, 0x2d0, 0x2d0, 0xa4, 0xa50, 0x8d0, 0x910],
  [0x4812, 0x36c, 0x248, 0x2d4, 0x2d4, 0xb4, 0xa58, 0x8d8, 0x918],
  [0x4816, 0x374, undefined, undefined, undefined, undefined, 0xa68, 0x8e8, 0x928],
  [0x4826, 0x394, 0x258, 0x18c, 0x21c, 0x13c, 0xaa8, 0x928, 0x968],
  [0x6800, 0x1a8, 0x300, 0x2d8, 0x2d8, 0x208, 0xe10, 0xb90, 0xbd0],
  [0x6802, 0x1b0, 0x308, 0x2e0, 0x2e0, 0x210, 0xe18, 0xb98, 0xbd8],
  [0x6806, 0x1c0, 0x108, 0x208, 0x208, 0x28, 0xe28, 0xba8, 0xbe8],
  [0x6814, 0x1f8, 0x1b0, 0x2b0, 0x2b0, 0x78, 0xe60, 0xbe0, 0xc20],
  [0x6816, 0x200, 0x318, 0x2c0, 0x2c0, 0xa8, 0xe68, 0xbe8, 0xc28],
  [0x6818, 0x208, 0x320, 0x2c8, 0x2c8, 0xb8, 0xe70, 0xbf0, 0xc30],
  [0x681a, 0x210, 0x328, 0x1c8, 0x1c8, 0x1c8, 0xe78, 0xbf8, 0xc38],
  [0x681c, 0x218, 0x330, 0x1d0, 0x1d0, 0x1d0, 0xe80, 0xc00, 0xc40],
  [0x681e, 0x220, 0x338, 0x1d8, 0x1d8, 0x1d8, 0xe88, 0xc08, 0xc48],
  [0x6820, 0x228, 0x340, 0x1e0, 0x1e0, 0x1e0, 0xe90, 0xc10, 0xc50],
  [0x6c00, 0x248, 0x380, 0x338, 0x338, 0x328, 0xf10, 0xc50, 0xc90],
  [0x6c04, 0x258, 0x390, 0x348, 0x348, 0x338, 0xf20, 0xc60, 0xca0],
  [0x6c14, 0x298, 0x3d0, 0x388, 0x388, 0x300, 0xf60, 0xca0, 0xce0],
  [0x6c16, 0x2a0, 0x3d8, 0x390, 0x390, 0x308, 0xf68, 0xca8, 0xce8],
];

describe('VMCS fields', () => {
  it('have the width and the kind that their encodings say', () => {
    for (const field of VMCS_FIELDS) {
      assert.equal(field.encoding & 1, 0, field.name);
      assert.equal(fieldEncoded(field.encoding), field);
      assert.equal(fieldNamed(field.name), field);
    }
    assert.deepEqual(fieldNamed('GUEST_RIP'), {
      name: 'GUEST_RIP',
      encoding: 0x681e,
      width: 64,
      natural: true,
      kind: 'guest',
    });
    assert.deepEqual(fieldNamed('VM_EXIT_REASON')?.kind, 'read-only');
    assert.equal(fieldNamed('HOST_TR_SELECTOR')?.encoding, 0x0c0c);
    assert.equal(fieldNamed('SPEC_CTRL_SHADOW')?.encoding, 0x204c);
  });
});

describe('VMCS layouts', () => {
  it('have the published offsets', () => {
    for (const [encoding, ...offsets] of ROWS) {
      for (const [i, offset] of offsets.entries()) {
        if (offset !== undefined)
          assert.equal(COLUMNS[i]?.offsets.get(encoding ?? 0), offset, `${COLUMNS[i]?.name} ${encoding?.toString(16)}`);
      }
    }
  });

  it('have no two fields in one place', () => {
    for (const layout of VMCS_LAYOUTS) {
      const taken = new Map<number, string>();
      for (const field of VMCS_FIELDS) {
        const offset = layout.offsets.get(field.encoding);
        if (offset === undefined) continue;
        const rights = field.name.endsWith('_AR_BYTES');
        const size = rights ? layout.accessRightsBytes : field.width / 8;
        for (let at = offset; at < offset + size; at++) {
          assert.equal(taken.get(at), undefined, `${layout.name}: ${field.name} at ${at}`);
          taken.set(at, field.name);
        }
      }
    }
  });

  it("agree with the kernel's own check of vmcs12", () => {
    const seen = new Set<number>();
    for (const line of fixtureText('vmcs12-7.2.txt').trim().split('\n')) {
      const [member, offset] = line.split(' ');
      const name = member?.toUpperCase().replace('_SSP_TBL', '_INTR_SSP_TABLE');
      const field = fieldNamed(name ?? '');
      if (field === undefined) {
        assert.match(member ?? '', /^(hdr|abort|launch_state|dead_space)$/);
        continue;
      }
      assert.equal(VMCS12.offsets.get(field.encoding), Number(offset), member);
      seen.add(field.encoding);
    }
    // Older kernels had the four CR3 targets in what is dead space now.
    const others = [...VMCS12.offsets.keys()].filter((encoding) => !seen.has(encoding));
    assert.deepEqual(others, [0x6008, 0x600a, 0x600c, 0x600e]);
  });
});

describe('access rights', () => {
  it('come back from each form that they are stored in', () => {
    for (const rights of [0xa09b, 0xc093, 0x8b, 0x82, 0x1_0000, 0x1_00f3]) {
      for (const form of ['plain', 'rotated', 'packed'] as const) {
        assert.equal(unpackAccessRights(packAccessRights(rights, form), form), rights, form);
      }
    }
    assert.equal(packAccessRights(0xa09b, 'rotated'), 0x00a0_9b00);
    assert.equal(packAccessRights(0x1_0000, 'packed'), 0x800);
  });

  it('are told apart by what they mean for a code segment and a task register', () => {
    assert.equal(accessRightsForm(0x00a0_9b00, 0x8b00), 'rotated');
    assert.equal(accessRightsForm(0xa09b, 0x8b), 'plain');
    assert.equal(accessRightsForm(0, 0), undefined);
    assert.equal(accessRightsForm(0xc093, 0x8b), 'plain');
    assert.equal(accessRightsForm(0x00a0_9b00, 0x8200), undefined);
  });

  it('are a descriptor in the notes of a dump', () => {
    assert.equal(descriptorFlags(0xa09b), 0x00a0_9b00);
    assert.equal(descriptorFlags(0x1_0093), 0);
  });
});

describe('a VMCS of Bochs 2.7', () => {
  const page = controlPage(BOCHS);
  const chosen = chooseLayout(page);

  it('is known by what it holds', () => {
    assert.equal(chosen?.fit.layout, BOCHS_2_7);
    assert.equal(chosen.fit.accessRights, 'rotated');
    assert.deepEqual(chosen.fit.broken, []);
    assert.match(chosen.evidence[0] ?? '', /revision 0x2b is its own/);
  });

  it('is known without its revision', () => {
    const other = page.slice();
    other.set([0x04, 0, 0, 0]);
    assert.equal(chooseLayout(other)?.fit.layout, BOCHS_2_7);
    other.set([0x99, 0, 0, 0]);
    assert.equal(chooseLayout(other)?.fit.layout, BOCHS_2_7);
  });

  it("gives the guest's registers", () => {
    assert.ok(chosen);
    const { general, control, segments } = vmcsRegisters(page, chosen.fit);
    assert.equal(general.get('rip'), 0xffff_ffff_81a5_92ean);
    assert.equal(general.get('rsp'), 0xffff_ffff_82a0_3e98n);
    assert.equal(general.get('rflags'), 0x202n);
    assert.equal(control.get('cr3'), 0x614_0002n);
    // Bit 13, VMXE, is the host's: the read shadow has the guest's.
    assert.equal(control.get('cr4'), (0x17_0ef0n & 0xffff_ffff_fffe_f871n) | (0x17_26f0n & 0x1_078en));
    const of = (name: string) => segments.find((segment) => segment.name === name);
    assert.deepEqual(of('cs'), { name: 'cs', selector: 0x10, limit: 0xffff_ffff, flags: 0xa0_9b00, base: 0n });
    assert.deepEqual(of('gs')?.base, 0xffff_8880_0980_0000n);
    assert.deepEqual(of('es')?.flags, 0);
    assert.deepEqual(of('tr'), {
      name: 'tr',
      selector: 0x40,
      limit: 0x4087,
      flags: 0x8b00,
      base: 0xffff_fe00_0000_3000n,
    });
    assert.equal(of('idt')?.limit, 0xfff);
  });

  it('is dumped field by field with its bits named', () => {
    const dump = describeControlPage(page);
    assert.equal(dump?.layout, 'Bochs 2.7');
    const field = (name: string) => dump.fields.find((one) => one.name === name);
    assert.deepEqual(field('VM_EXIT_REASON')?.names, ['HLT']);
    assert.deepEqual(field('GUEST_CS_AR_BYTES')?.names, ['code', 'DPL 0', 'P', 'L', 'G']);
    assert.equal(field('GUEST_CS_AR_BYTES')?.value, 0xa09bn);
    assert.deepEqual(field('GUEST_ES_AR_BYTES')?.names, ['unusable']);
    assert.ok(field('SECONDARY_VM_EXEC_CONTROL')?.names.includes('EPT'));
    assert.ok(field('HOST_CR4')?.names.includes('VMXE'));
    assert.equal(field('GUEST_RIP')?.offset, 0xe88);
  });
});

describe('choosing a layout', () => {
  it('finds the layout that a page was written in, of all of them', () => {
    for (const layout of VMCS_LAYOUTS) {
      const page = writeVmcs(layout);
      assert.equal(chooseLayout(page)?.fit.layout, layout, layout.name);
      // A revision that another layout has changes nothing.
      assert.equal(chooseLayout(writeVmcs(layout, LINUX_GUEST, 0x04))?.fit.layout, layout, layout.name);
      const registers = vmcsRegisters(page, fitLayout(page, layout));
      assert.equal(registers.general.get('rip'), LINUX_GUEST['GUEST_RIP'], layout.name);
      const cs = registers.segments.find(({ name }) => name === 'cs');
      assert.equal(cs?.flags, 0xa0_9b00, layout.name);
    }
  });

  it('takes no page of zeros, of ones or with nothing but a revision: a VMXON region', () => {
    const page = new Uint8Array(4096);
    assert.equal(chooseLayout(page), undefined);
    page.set([0x2b]);
    assert.equal(chooseLayout(page), undefined);
    assert.equal(chooseLayout(new Uint8Array(4096).fill(0xff)), undefined);
    assert.equal(chooseLayout(new Uint8Array(100)), undefined);
  });

  it('puts a stated layout first, where the page agrees with it', () => {
    const stated: VmcsLayout = { ...BOCHS_2_7, name: 'stated' };
    assert.equal(chooseLayout(controlPage(BOCHS), [stated])?.fit.layout, stated);
    assert.equal(chooseLayout(controlPage(BOCHS), [{ ...HASWELL, name: 'stated' }])?.fit.layout, BOCHS_2_7);
  });

  it('is not upset by anything that a page may hold', () => {
    const random = new Random(20121);
    const real = controlPage(BOCHS);
    for (let round = 0; round < 400; round++) {
      const page = real.slice();
      random.mutate(page, 200);
      for (const fit of fitLayouts(page)) {
        const registers = vmcsRegisters(page, fit);
        assert.ok(registers.segments.length <= 10);
      }
      const dump = describeControlPage(page);
      for (const field of dump?.fields ?? []) assert.ok(field.offset + field.size <= 4096);
    }
  });
});
