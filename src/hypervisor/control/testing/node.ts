import { readFileSync } from 'node:fs';
import { packAccessRights } from '../access-rights.js';
import { fieldNamed } from '../vmcs-fields.js';
import { isAccessRights, VMCS_BYTES, type VmcsLayout } from '../vmcs-layout.js';

const FIXTURES = new URL('../../../../../src/hypervisor/control/fixtures/', import.meta.url);

/** A page out of a real host's memory. */
export function controlPage(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`${name}.bin`, FIXTURES)));
}

/** The text of a fixture. */
export function fixtureText(name: string): string {
  return readFileSync(new URL(name, FIXTURES), 'utf8');
}

/** What a 64-bit Linux guest's VMCS holds: values by field name. Access rights as the field reads. */
export const LINUX_GUEST: Readonly<Record<string, bigint>> = {
  VIRTUAL_PROCESSOR_ID: 1n,
  GUEST_CS_SELECTOR: 0x10n,
  GUEST_SS_SELECTOR: 0x18n,
  GUEST_TR_SELECTOR: 0x40n,
  GUEST_ES_LIMIT: 0xffff_ffffn,
  GUEST_CS_LIMIT: 0xffff_ffffn,
  GUEST_TR_LIMIT: 0x4087n,
  GUEST_GDTR_LIMIT: 0x7fn,
  GUEST_IDTR_LIMIT: 0xfffn,
  GUEST_ES_AR_BYTES: 0x1_0000n,
  GUEST_CS_AR_BYTES: 0xa09bn,
  GUEST_SS_AR_BYTES: 0xc093n,
  GUEST_TR_AR_BYTES: 0x8bn,
  GUEST_GS_BASE: 0xffff_8880_0980_0000n,
  GUEST_TR_BASE: 0xffff_fe00_0000_3000n,
  GUEST_GDTR_BASE: 0xffff_fe00_0000_1000n,
  GUEST_IDTR_BASE: 0xffff_fe00_0000_0000n,
  GUEST_CR0: 0x8005_0033n,
  GUEST_CR3: 0x614_0000n,
  GUEST_CR4: 0x17_26f0n,
  GUEST_RSP: 0xffff_ffff_82a0_3e98n,
  GUEST_RIP: 0xffff_ffff_81a5_92ean,
  GUEST_RFLAGS: 0x202n,
  GUEST_IA32_EFER: 0xd01n,
  EPT_POINTER: 0x2fd0_605en,
  VMCS_LINK_POINTER: 2n ** 64n - 1n,
  PIN_BASED_VM_EXEC_CONTROL: 0x7fn,
  CPU_BASED_VM_EXEC_CONTROL: 0xb5a0_6dfan,
  SECONDARY_VM_EXEC_CONTROL: 0x34fen,
  VM_EXIT_CONTROLS: 0xb_efffn,
  VM_ENTRY_CONTROLS: 0x53ffn,
  VM_EXIT_REASON: 12n,
  HOST_CS_SELECTOR: 0x10n,
  HOST_TR_SELECTOR: 0x40n,
  HOST_CR0: 0x8005_0033n,
  HOST_CR3: 0x5ff_6003n,
  HOST_CR4: 0x17_26f0n,
  HOST_GDTR_BASE: 0xffff_fe00_0000_1000n,
  HOST_IDTR_BASE: 0xffff_fe00_0000_0000n,
  HOST_RSP: 0xffff_c900_005e_3c40n,
  HOST_RIP: 0xffff_ffff_c035_144en,
};

/** A VMCS as a processor with this layout would have written it: what the layout has no place for is not there. */
export function writeVmcs(layout: VmcsLayout, values = LINUX_GUEST, revision = layout.revisions[0] ?? 1): Uint8Array {
  const bytes = new Uint8Array(VMCS_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, revision, true);
  for (const [name, value] of Object.entries(values)) {
    const field = fieldNamed(name);
    if (field === undefined) throw new Error(name);
    const offset = layout.offsets.get(field.encoding);
    if (offset === undefined) continue;
    if (isAccessRights(field)) {
      const stored = packAccessRights(Number(value), layout.accessRights ?? 'rotated');
      if (layout.accessRightsBytes === 2) view.setUint16(offset, stored, true);
      else view.setUint32(offset, stored, true);
    } else if (field.width === 16) view.setUint16(offset, Number(value), true);
    else if (field.width === 32) view.setUint32(offset, Number(value), true);
    else view.setBigUint64(offset, value, true);
  }
  return bytes;
}
