import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Random } from '../../testing/random.js';
import { describeControlPage } from './describe.js';
import { controlPage } from './testing/node.js';
import { isVmcb, readVmcb } from './vmcb.js';

const LINUX_6_1 = controlPage('vmcb_linux61_pa34840000');
const LINUX_7_2 = controlPage('vmcb_linux72_pa27c4000');

describe("a VMCB that KVM left in its host's memory", () => {
  it('is known by what it holds', () => {
    assert.ok(isVmcb(LINUX_6_1));
    assert.ok(isVmcb(LINUX_7_2));
    assert.ok(!isVmcb(controlPage('vmcs_bochs27_rev2b_linux61')));
    assert.ok(!isVmcb(new Uint8Array(4096)));
    assert.ok(!isVmcb(new Uint8Array(4096).fill(0xff)));
    assert.ok(!isVmcb(LINUX_6_1.subarray(0, 2048)));
  });

  it("gives the nested root and the guest's registers", () => {
    const vmcb = readVmcb(LINUX_6_1);
    assert.equal(vmcb.nestedRoot, 0x3352_8000);
    assert.equal(vmcb.exitCode, 0x78n);
    assert.equal(vmcb.encrypted, undefined);
    const { general, control, segments } = vmcb.registers;
    assert.equal(general.get('rip'), 0xffff_ffff_b985_92ean);
    assert.equal(general.get('rax'), 0xffff_ffff_b985_9180n);
    assert.equal(general.get('rsp'), 0xffff_ffff_ba80_3e98n);
    assert.equal(control.get('cr3'), 0x294_a000n);
    // Without SVME, which KVM adds for the processor.
    assert.equal(control.get('efer'), 0xd01n);
    const of = (name: string) => segments.find((segment) => segment.name === name);
    assert.deepEqual(of('cs'), { name: 'cs', selector: 0x10, limit: 0xffff_ffff, flags: 0xa0_9b00, base: 0n });
    assert.equal(of('gs')?.base, 0xffff_89d5_4b80_0000n);
    assert.equal(of('tr')?.flags, 0x8900);
    assert.equal(of('gdt')?.limit, 0x7f);
    assert.equal(of('idt')?.base, 0xffff_fe00_0000_0000n);
  });

  it('is dumped field by field with its bits named', () => {
    const dump = describeControlPage(LINUX_7_2);
    assert.equal(dump?.kind, 'VMCB');
    const field = (name: string) => dump.fields.find((one) => one.name === name);
    assert.deepEqual(field('exit_code')?.names, ['HLT']);
    assert.ok(field('intercepts[4]')?.names.includes('VMRUN'));
    assert.deepEqual(field('misc_ctl')?.names, ['NESTED_PAGING']);
    assert.deepEqual(field('efer')?.names, ['SCE', 'LME', 'LMA', 'NX', 'SVME']);
    assert.deepEqual(field('cs.attrib')?.names, ['code', 'DPL 0', 'P', 'L', 'G']);
    assert.equal(field('rip')?.offset, 0x578);
  });

  it('of an encrypted guest says so', () => {
    const page = LINUX_6_1.slice();
    page[0x90] = 7;
    assert.equal(readVmcb(page).encrypted, 'SEV-ES');
    page[0x90] = 3;
    assert.equal(readVmcb(page).encrypted, 'SEV');
  });

  it('without nested paging has no nested root', () => {
    const page = LINUX_6_1.slice();
    page[0x90] = 0;
    assert.equal(readVmcb(page).nestedRoot, undefined);
  });

  it('does not upset anyone when it is broken', () => {
    const random = new Random(7);
    for (let round = 0; round < 500; round++) {
      const page = LINUX_7_2.slice();
      random.mutate(page, 100);
      const { registers } = readVmcb(page);
      assert.equal(registers.segments.length, 10);
      assert.equal(typeof isVmcb(page), 'boolean');
      for (const field of describeControlPage(page)?.fields ?? []) assert.ok(field.offset + field.size <= 4096);
    }
  });
});
