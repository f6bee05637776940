import { isCanonical } from '../../machine/x86-64/paging.js';
import { isEptPointer } from './vmcs-consistency.js';
import { VMCS_FIELDS } from './vmcs-fields.js';

/**
 * What all layouts of VMCSs have in common that were ever measured: Intel's from Penryn to Coffee Lake, KVM's vmcs12, Bochs'.
 * Which fields follow each other, and what a processor demands of a field's value (Intel SDM vol. 3, "VM-Entry checks").
 */

/** Fields that follow each other, so many bytes apart: one of `strides`. */
export interface Group {
  readonly names: readonly string[];
  readonly strides: readonly number[];
  /** Looked for only when this one is found, because what it holds looks the same. */
  readonly after?: string;
}

function group(names: string, ...strides: number[]): Group {
  return { names: names.split(' '), strides };
}

/** In the order in which they are looked for: what is found early cannot be taken for something else. */
export const GROUPS: readonly Group[] = [
  group('HOST_CR0 HOST_CR3 HOST_CR4', 8),
  group('GUEST_CR0 GUEST_CR3 GUEST_CR4', 8),
  group('GUEST_DR7 GUEST_RSP GUEST_RIP GUEST_RFLAGS', 8),
  group('GUEST_RFLAGS GUEST_PENDING_DBG_EXCEPTIONS GUEST_SYSENTER_ESP GUEST_SYSENTER_EIP', 8),
  group('HOST_RSP HOST_RIP', 8),
  group('HOST_FS_BASE HOST_GS_BASE HOST_TR_BASE', 8),
  group('HOST_IA32_SYSENTER_ESP HOST_IA32_SYSENTER_EIP', 8),
  group('VMCS_LINK_POINTER GUEST_IA32_DEBUGCTL GUEST_IA32_PAT GUEST_IA32_EFER', 8),
  { ...group('HOST_IA32_PAT HOST_IA32_EFER', 8), after: 'GUEST_IA32_EFER' },
  group('CR0_GUEST_HOST_MASK CR4_GUEST_HOST_MASK CR0_READ_SHADOW CR4_READ_SHADOW', 8),
  group('VM_EXIT_MSR_STORE_ADDR VM_EXIT_MSR_LOAD_ADDR VM_ENTRY_MSR_LOAD_ADDR', 8),
  group(
    'HOST_ES_SELECTOR HOST_CS_SELECTOR HOST_SS_SELECTOR HOST_DS_SELECTOR HOST_FS_SELECTOR HOST_GS_SELECTOR HOST_TR_SELECTOR',
    ...[2, 4, 8],
  ),
  {
    ...group(
      'GUEST_ES_SELECTOR GUEST_CS_SELECTOR GUEST_SS_SELECTOR GUEST_DS_SELECTOR GUEST_FS_SELECTOR GUEST_GS_SELECTOR ' +
        'GUEST_LDTR_SELECTOR GUEST_TR_SELECTOR',
      ...[2, 4, 8],
    ),
    // In layouts that have a record for each segment they are found with it.
    after: 'GUEST_CS_AR_BYTES',
  },
  group(
    'VM_EXIT_REASON VM_EXIT_INTR_INFO VM_EXIT_INTR_ERROR_CODE IDT_VECTORING_INFO_FIELD IDT_VECTORING_ERROR_CODE ' +
      'VM_EXIT_INSTRUCTION_LEN VMX_INSTRUCTION_INFO',
    ...[4, 8],
  ),
];

/**
 * Fields of natural width by ascending encoding, those of one kind together: where two of them are as far apart as a field
 * of 8 bytes for each encoding between would make it, those between are between.
 */
export const ARRAYS: readonly (readonly string[])[] = [0x6800, 0x6c00].map((first) =>
  VMCS_FIELDS.filter(({ encoding }) => encoding >> 10 === first >> 10).map(({ name }) => name),
);

const PHYSICAL = 2n ** 52n;
const LOW_32 = 2n ** 32n;
const LOW_16 = 2n ** 16n;
const ALL_ONES = 2n ** 64n - 1n;
/** Bits of RFLAGS that are always 0; bit 1 is always 1. */
const RFLAGS_CLEAR = 0xffff_ffff_ffc0_8028n;
/** Bit 10 of DR7 is always set. */
const DR7_ALWAYS = 0x400n;
const CR0_HOST = 0x8000_0021n;
const CR0_GUEST = 0x20n;
const CR4_VMXE = 0x2000n;
const EFER_CLEAR = 0xffff_ffff_ffff_0200n;
/** Linux has long mode on. */
const EFER_HOST = 0x500n;
const KERNEL = 0xff00_0000_0000_0000n;
/** The image and the modules. */
const TEXT = 0xffff_ffff_8000_0000n;
/** Where each CPU has its entry stacks and tables: a thread's stack is not there. */
const ENTRY_AREA = [0xffff_fe00_0000_0000n, 0xffff_fe80_0000_0000n] as const;

type Plausible = (value: bigint) => boolean;

const cr0 =
  (bits: bigint): Plausible =>
  (value) =>
    (value & bits) === bits && value < LOW_32;
const cr4: Plausible = (value) => (value & CR4_VMXE) !== 0n && value < 2n * LOW_32;
const zeroOrCanonical: Plausible = (value) => value === 0n || (value > LOW_16 && isCanonical(value));
const kernelAddress: Plausible = (value) => value >= KERNEL && value !== ALL_ONES;
const entryArea: Plausible = (value) => value >= ENTRY_AREA[0] && value < ENTRY_AREA[1];
const efer: Plausible = (value) => value !== 0n && (value & EFER_CLEAR) === 0n;

/** What any value of a field keeps to. */
export const PLAUSIBLE: ReadonlyMap<string, Plausible> = new Map<string, Plausible>([
  ['HOST_CR0', cr0(CR0_HOST)],
  ['HOST_CR3', (value) => value >= 0x1000n && value < PHYSICAL],
  ['HOST_CR4', cr4],
  ['GUEST_CR0', cr0(CR0_GUEST)],
  ['GUEST_CR3', (value) => (value & ~(1n << 63n)) < PHYSICAL],
  ['GUEST_CR4', cr4],
  ['GUEST_DR7', (value) => (value & DR7_ALWAYS) !== 0n && value < LOW_32],
  ['GUEST_RSP', isCanonical],
  ['GUEST_RIP', (value) => value !== 0n && isCanonical(value)],
  ['GUEST_RFLAGS', (value) => (value & RFLAGS_CLEAR) === 0n && (value & 2n) !== 0n],
  ['GUEST_PENDING_DBG_EXCEPTIONS', (value) => value < 2n * LOW_16],
  ['GUEST_SYSENTER_ESP', zeroOrCanonical],
  ['GUEST_SYSENTER_EIP', zeroOrCanonical],
  ['HOST_RSP', (value) => kernelAddress(value) && value < TEXT && value % 8n === 0n && !entryArea(value)],
  ['HOST_RIP', (value) => value >= TEXT && value !== ALL_ONES],
  ['HOST_FS_BASE', isCanonical],
  ['HOST_GS_BASE', (value) => kernelAddress(value) && !entryArea(value)],
  ['HOST_TR_BASE', entryArea],
  ['HOST_GDTR_BASE', entryArea],
  ['HOST_IDTR_BASE', entryArea],
  ['HOST_IA32_SYSENTER_ESP', entryArea],
  ['HOST_IA32_SYSENTER_EIP', (value) => value >= TEXT && value !== ALL_ONES],
  ['VMCS_LINK_POINTER', (value) => value === ALL_ONES],
  ['GUEST_IA32_DEBUGCTL', (value) => value < LOW_16],
  ['GUEST_IA32_PAT', isPat],
  ['GUEST_IA32_EFER', efer],
  ['HOST_IA32_PAT', isPat],
  ['HOST_IA32_EFER', (value) => efer(value) && (value & EFER_HOST) === EFER_HOST],
  ['CR0_READ_SHADOW', (value) => value < LOW_32],
  ['CR4_READ_SHADOW', (value) => value < 2n * LOW_32],
  ['EPT_POINTER', (value) => isEptPointer(value) && (value & 0xf87n) === 6n],
  ['PIN_BASED_VM_EXEC_CONTROL', demanded(0x16n)],
  ['CPU_BASED_VM_EXEC_CONTROL', demanded(0x0400_6172n)],
  ['VM_EXIT_CONTROLS', demanded(0x0003_6ffbn)],
  ['VM_ENTRY_CONTROLS', demanded(0x11fbn)],
  ['GUEST_CS_SELECTOR', (value) => value !== 0n && isSelector(value) && (value & 3n) !== 1n && (value & 3n) !== 2n],
  ['GUEST_TR_SELECTOR', (value) => value !== 0n && isSelector(value) && (value & 7n) === 0n],
  ...['ES', 'SS', 'DS', 'FS', 'GS', 'LDTR'].map((name): [string, Plausible] => [`GUEST_${name}_SELECTOR`, isSelector]),
  ['HOST_CS_SELECTOR', (value) => value !== 0n && isHostSelector(value)],
  ['HOST_TR_SELECTOR', (value) => value !== 0n && isHostSelector(value)],
  ...['ES', 'SS', 'DS', 'FS', 'GS'].map((name): [string, Plausible] => [`HOST_${name}_SELECTOR`, isHostSelector]),
  ...['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR', 'GDTR', 'IDTR'].map((name): [string, Plausible] => [
    `GUEST_${name}_BASE`,
    isCanonical,
  ]),
]);

/** Bits that every processor demands in a control ("true" capability MSRs), and that the host is a 64-bit one. */
function demanded(bits: bigint): Plausible {
  return (value) => (value & bits) === bits;
}

/** Of a process with a table of its own they are larger, which is rare. */
function isSelector(value: bigint): boolean {
  return value < 0x100n;
}

/** Privilege 0 and the GDT are demanded; Linux' GDT has 16 entries. */
function isHostSelector(value: bigint): boolean {
  return (value & 7n) === 0n && value < 0x80n;
}

/** Eight memory types of 3 bits, of which 2 and 3 are none. */
function isPat(value: bigint): boolean {
  if (value === 0n || value === ALL_ONES) return false;
  for (let rest = value; rest !== 0n; rest >>= 8n) {
    const type = rest & 0xffn;
    if (type > 7n || type === 2n || type === 3n) return false;
  }
  return true;
}
