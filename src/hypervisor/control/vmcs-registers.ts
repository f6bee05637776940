import { virtualAddress } from '../../bytes/address.js';
import type { Segment } from '../../machine/machine.js';
import type { GuestRegisters } from '../guest.js';
import { descriptorFlags, unpackAccessRights } from './access-rights.js';
import type { LayoutFit } from './vmcs-consistency.js';
import { VmcsPage } from './vmcs-layout.js';

/** Names of the segment registers, as dumps and as the fields of a VMCS have them. */
export const SEGMENT_NAMES = [
  ['es', 'ES'],
  ['cs', 'CS'],
  ['ss', 'SS'],
  ['ds', 'DS'],
  ['fs', 'FS'],
  ['gs', 'GS'],
  ['ldt', 'LDTR'],
  ['tr', 'TR'],
] as const;

const GENERAL = [
  ['rip', 'GUEST_RIP'],
  ['rsp', 'GUEST_RSP'],
  ['rflags', 'GUEST_RFLAGS'],
] as const;

const CONTROL = [
  ['cr3', 'GUEST_CR3'],
  ['dr7', 'GUEST_DR7'],
  ['efer', 'GUEST_IA32_EFER'],
  ['sysenter_cs', 'GUEST_SYSENTER_CS'],
  ['sysenter_esp', 'GUEST_SYSENTER_ESP'],
  ['sysenter_eip', 'GUEST_SYSENTER_EIP'],
] as const;

const CR3_NO_PCID_FLUSH = 1n << 63n;

/**
 * The guest's registers out of a VMCS page; of the general ones only RIP, RSP and RFLAGS, for no VMCS has the others.
 * What the layout has no place for is left out.
 */
export function vmcsRegisters(bytes: Uint8Array, fit: LayoutFit): GuestRegisters {
  const page = new VmcsPage(bytes, fit.layout);
  const general = new Map<string, bigint>();
  for (const [name, field] of GENERAL) {
    const value = page.get(field);
    if (value !== undefined) general.set(name, value);
  }
  const control = new Map<string, bigint>();
  for (const [name, field] of CONTROL) {
    const value = page.get(field);
    if (value !== undefined) control.set(name, name === 'cr3' ? value & ~CR3_NO_PCID_FLUSH : value);
  }
  for (const name of ['cr0', 'cr4'] as const) {
    const value = asGuestSees(page, name.toUpperCase());
    if (value !== undefined) control.set(name, value);
  }
  const segments: Segment[] = [];
  for (const [name, field] of SEGMENT_NAMES) {
    const base = page.get(`GUEST_${field}_BASE`);
    const selector = page.number(`GUEST_${field}_SELECTOR`);
    if (base === undefined || selector === undefined) continue;
    const stored = page.number(`GUEST_${field}_AR_BYTES`);
    const rights =
      stored === undefined || fit.accessRights === undefined ? undefined : unpackAccessRights(stored, fit.accessRights);
    const limit = page.number(`GUEST_${field}_LIMIT`) ?? 0;
    segments.push({
      name,
      selector,
      limit,
      flags: rights === undefined ? 0 : descriptorFlags(rights),
      base: virtualAddress(base),
    });
  }
  for (const name of ['gdt', 'idt'] as const) {
    const base = page.get(`GUEST_${name.toUpperCase()}R_BASE`);
    const limit = page.number(`GUEST_${name.toUpperCase()}R_LIMIT`);
    if (base === undefined || limit === undefined) continue;
    segments.push({ name, selector: 0, limit, flags: 0, base: virtualAddress(base) });
  }
  return { general, segments, control };
}

/** A control register as the guest reads it: bits of the mask come from the read shadow (Intel SDM vol. 3, "Guest/Host Masks"). */
function asGuestSees(page: VmcsPage, name: string): bigint | undefined {
  const value = page.get(`GUEST_${name}`);
  const mask = page.get(`${name}_GUEST_HOST_MASK`);
  const shadow = page.get(`${name}_READ_SHADOW`);
  if (value === undefined || mask === undefined || shadow === undefined) return value;
  return (value & ~mask) | (shadow & mask);
}
