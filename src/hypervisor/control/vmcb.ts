import { virtualAddress } from '../../bytes/address.js';
import { array, type Field, raw, structTable, u8, u16, u32, u64, viewOf } from '../../bytes/struct-table.js';
import type { Segment } from '../../machine/machine.js';
import { FRAME_MASK } from '../../machine/x86-64/paging.js';
import type { GuestRegisters } from '../guest.js';

/** Bytes of a VMCB: a page, of which the control area is the first KiB and the save area begins after it. */
export const VMCB_BYTES = 4096;
export const VMCB_SAVE_AT = 0x400;

/**
 * `struct vmcb_control_area` of arch/x86/include/asm/svm.h, little-endian (AMD64 APM vol. 2, appendix B): what is
 * intercepted, why the guest was left, where its nested page table is.
 */
export const VMCB_CONTROL = structTable('vmcb_control_area', 1024, {
  intercepts: array(u32, 0x000, 6),
  pause_filter_thresh: u16(0x03c),
  pause_filter_count: u16(0x03e),
  iopm_base_pa: u64(0x040),
  msrpm_base_pa: u64(0x048),
  tsc_offset: u64(0x050),
  asid: u32(0x058),
  tlb_ctl: u8(0x05c),
  erap_ctl: u8(0x05d),
  int_ctl: u32(0x060),
  int_vector: u32(0x064),
  int_state: u32(0x068),
  exit_code: u64(0x070),
  exit_info_1: u64(0x078),
  exit_info_2: u64(0x080),
  exit_int_info: u32(0x088),
  exit_int_info_err: u32(0x08c),
  misc_ctl: u64(0x090),
  avic_vapic_bar: u64(0x098),
  ghcb_gpa: u64(0x0a0),
  event_inj: u32(0x0a8),
  event_inj_err: u32(0x0ac),
  nested_cr3: u64(0x0b0),
  misc_ctl2: u64(0x0b8),
  clean: u32(0x0c0),
  next_rip: u64(0x0c8),
  insn_len: u8(0x0d0),
  insn_bytes: raw(0x0d1, 15),
  avic_backing_page: u64(0x0e0),
  avic_logical_id: u64(0x0f0),
  avic_physical_id: u64(0x0f8),
  vmsa_pa: u64(0x108),
  bus_lock_counter: u16(0x120),
  allowed_sev_features: u64(0x138),
  guest_sev_features: u64(0x140),
  reserved_sw: raw(0x3e0, 32),
});

const SEGMENT_ORDER = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'gdtr', 'ldtr', 'idtr', 'tr'] as const;
const SEGMENT_BYTES = 16;

function segmentFields(): Record<string, Field<number> | Field<bigint>> {
  const fields: Record<string, Field<number> | Field<bigint>> = {};
  for (const [i, name] of SEGMENT_ORDER.entries()) {
    const at = i * SEGMENT_BYTES;
    fields[`${name}.selector`] = u16(at);
    fields[`${name}.attrib`] = u16(at + 2);
    fields[`${name}.limit`] = u32(at + 4);
    fields[`${name}.base`] = u64(at + 8);
  }
  return fields;
}

/**
 * `struct vmcb_save_area` of the same header: the guest's registers. FS, GS, TR, LDTR, KERNEL_GS_BASE and the system-call
 * registers are kept by VMSAVE, which KVM has done on `vmcb01` also while a nested guest ran.
 */
export const VMCB_SAVE = structTable('vmcb_save_area', 744, {
  ...segmentFields(),
  vmpl: u8(0x0ca),
  cpl: u8(0x0cb),
  efer: u64(0x0d0),
  cr4: u64(0x148),
  cr3: u64(0x150),
  cr0: u64(0x158),
  dr7: u64(0x160),
  dr6: u64(0x168),
  rflags: u64(0x170),
  rip: u64(0x178),
  rsp: u64(0x1d8),
  s_cet: u64(0x1e0),
  ssp: u64(0x1e8),
  isst_addr: u64(0x1f0),
  rax: u64(0x1f8),
  star: u64(0x200),
  lstar: u64(0x208),
  cstar: u64(0x210),
  sfmask: u64(0x218),
  kernel_gs_base: u64(0x220),
  sysenter_cs: u64(0x228),
  sysenter_esp: u64(0x230),
  sysenter_eip: u64(0x238),
  cr2: u64(0x240),
  g_pat: u64(0x268),
  dbgctl: u64(0x270),
  br_from: u64(0x278),
  br_to: u64(0x280),
  last_excp_from: u64(0x288),
  last_excp_to: u64(0x290),
  spec_ctrl: u64(0x2e0),
});

/** Bits of `misc_ctl`. */
export const NESTED_PAGING = 1n;
export const SEV = 2n;
export const SEV_ES = 4n;
/** The intercept of VMRUN, in the fifth word: without it no processor enters a guest. */
const VMRUN_INTERCEPT = 1;
const MOST_ASIDS = 0x1_0000;
/** Set by KVM in the guest's EFER, because the processor demands it; the guest does not see it. */
const EFER_SVME = 1n << 12n;
const EFER_RESERVED = 0xffff_ffff_ffc0_0200n | 0xfen;
const RFLAGS_CLEAR = 0xffff_ffff_ffc0_8028n;
const PHYSICAL = 2n ** 52n;

/** What of a VMCB says which guest it is of and how it stands. */
export interface Vmcb {
  /** Physical address of the nested page table's root; undefined without nested paging. */
  readonly nestedRoot: number | undefined;
  readonly asid: number;
  readonly exitCode: bigint;
  /** Memory encrypted (`SEV`), or the registers too (`SEV-ES`). */
  readonly encrypted: 'SEV' | 'SEV-ES' | undefined;
  readonly registers: GuestRegisters;
}

/**
 * Is this page a VMCB that a processor would take? Tells them from anything else that lies in a host's memory: VMRUN is
 * intercepted, an ASID is given, the nested root is a page, EFER has SVME, and reserved bits are clear.
 */
export function isVmcb(page: Uint8Array): boolean {
  if (page.length < VMCB_BYTES) return false;
  const view = viewOf(page);
  const asid = view.getUint32(0x58, true);
  if ((view.getUint32(0x10, true) & VMRUN_INTERCEPT) === 0 || asid === 0 || asid > MOST_ASIDS) return false;
  const control = VMCB_CONTROL.read(view, 0);
  const save = VMCB_SAVE.read(view, VMCB_SAVE_AT);
  const value = (name: keyof typeof save): bigint => BigInt(save[name] ?? 0);
  const root = control.nested_cr3;
  const nested = (control.misc_ctl & NESTED_PAGING) !== 0n;
  if (nested && (root === 0n || root % 4096n !== 0n || root >= PHYSICAL)) return false;
  if (control.iopm_base_pa % 4096n !== 0n || control.msrpm_base_pa % 4096n !== 0n) return false;
  if (control.iopm_base_pa === 0n || control.iopm_base_pa >= PHYSICAL || control.msrpm_base_pa >= PHYSICAL)
    return false;
  const efer = value('efer');
  if ((efer & EFER_SVME) === 0n || (efer & EFER_RESERVED) !== 0n) return false;
  // An encrypted guest's registers are elsewhere; what stands here is what it began with.
  if ((control.misc_ctl & SEV_ES) !== 0n) return true;
  return (value('rflags') & RFLAGS_CLEAR) === 0n && (value('rflags') & 2n) !== 0n && value('cr0') < 2n ** 32n;
}

/** Reads a VMCB page. Throws EXH_TRUNCATED where it is shorter than one. */
export function readVmcb(page: Uint8Array): Vmcb {
  const view = viewOf(page);
  const control = VMCB_CONTROL.read(view, 0);
  const nested = (control.misc_ctl & NESTED_PAGING) !== 0n && control.nested_cr3 < PHYSICAL;
  const es = (control.misc_ctl & SEV_ES) !== 0n;
  return {
    nestedRoot: nested ? Number(control.nested_cr3 & FRAME_MASK) : undefined,
    asid: control.asid,
    exitCode: control.exit_code,
    encrypted: es ? 'SEV-ES' : (control.misc_ctl & SEV) !== 0n ? 'SEV' : undefined,
    registers: vmcbRegisters(view),
  };
}

const GENERAL = 'rip rsp rflags rax'.split(' ');
const CONTROL =
  'cr0 cr2 cr3 cr4 dr6 dr7 kernel_gs_base star lstar cstar sfmask sysenter_cs sysenter_esp sysenter_eip'.split(' ');

function vmcbRegisters(view: DataView): GuestRegisters {
  const save = VMCB_SAVE.read(view, VMCB_SAVE_AT);
  const value = (name: string): bigint => BigInt(save[name as keyof typeof save] ?? 0);
  const general = new Map(GENERAL.map((name) => [name, value(name)]));
  const control = new Map(CONTROL.map((name) => [name, value(name)]));
  control.set('efer', value('efer') & ~EFER_SVME);
  const segments = SEGMENT_ORDER.map((name): Segment => {
    const table = name === 'gdtr' || name === 'idtr';
    return {
      name: name.replace(/^(gdt|idt|ldt)r$/, '$1'),
      selector: table ? 0 : Number(value(`${name}.selector`)),
      limit: Number(value(`${name}.limit`)),
      flags: table ? 0 : attributeFlags(Number(value(`${name}.attrib`))),
      base: virtualAddress(value(`${name}.base`)),
    };
  });
  return { general, segments, control };
}

/** A VMCB's segment attributes (12 bits) as the high double word of a descriptor; 0 for a segment that is not present. */
function attributeFlags(attributes: number): number {
  return (attributes & 0x80) === 0 ? 0 : ((attributes & 0xff) << 8) | ((attributes & 0xf00) << 12);
}
