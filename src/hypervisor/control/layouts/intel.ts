import { type LayoutRun, offsetsOf, type VmcsLayout } from '../vmcs-layout.js';

/**
 * Layouts of Intel's processors, as people measured them: a pattern was put into the region and each field read, or each
 * field written and found again (HyperDbg with Actaeon, rekall's vmcs_layout, vmcsreverse). Intel documents none.
 * A field that nobody found, or that two sources put into the same place, is left out.
 */

const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'];

/** Segment registers of 24 bytes each: selector, base, limit and rotated access rights. */
function wideSegments(first: number): LayoutRun[] {
  return SEGMENTS.map((name, i) => [
    first + 24 * i,
    1,
    `GUEST_${name}_SELECTOR ${holes(7)}GUEST_${name}_BASE ${holes(7)}GUEST_${name}_LIMIT ${holes(3)}GUEST_${name}_AR_BYTES`,
  ]);
}

/** Segment registers of 16 bytes each, as AMD's: selector, packed access rights, limit, base. */
function packedSegments(places: readonly (readonly [name: string, first: number])[]): LayoutRun[] {
  return places.map(([name, first]) => [
    first,
    1,
    `GUEST_${name}_SELECTOR - GUEST_${name}_AR_BYTES - GUEST_${name}_LIMIT ${holes(3)}GUEST_${name}_BASE`,
  ]);
}

function holes(count: number): string {
  return '- '.repeat(count);
}

const HOST_SELECTORS =
  'HOST_ES_SELECTOR HOST_CS_SELECTOR HOST_SS_SELECTOR HOST_DS_SELECTOR HOST_FS_SELECTOR HOST_GS_SELECTOR HOST_TR_SELECTOR';
const HOST_STATE =
  'HOST_CR0 HOST_CR3 HOST_CR4 HOST_FS_BASE HOST_GS_BASE HOST_TR_BASE HOST_GDTR_BASE HOST_IDTR_BASE ' +
  'HOST_IA32_SYSENTER_ESP HOST_IA32_SYSENTER_EIP HOST_RSP HOST_RIP HOST_IA32_SYSENTER_CS';
const MASKS =
  'CR0_GUEST_HOST_MASK CR4_GUEST_HOST_MASK CR0_READ_SHADOW CR4_READ_SHADOW CR3_TARGET_VALUE0 CR3_TARGET_VALUE1 ' +
  'CR3_TARGET_VALUE2 CR3_TARGET_VALUE3';
const PDPTES = 'GUEST_PDPTR0 GUEST_PDPTR1 GUEST_PDPTR2 GUEST_PDPTR3';
const GUEST_MSRS = 'VMCS_LINK_POINTER GUEST_IA32_DEBUGCTL GUEST_IA32_PAT GUEST_IA32_EFER GUEST_IA32_PERF_GLOBAL_CTRL';
const EXIT_QUALIFICATIONS = 'EXIT_QUALIFICATION IO_RCX IO_RSI IO_RDI IO_RIP GUEST_LINEAR_ADDRESS';
const GUEST_POINTERS =
  'GUEST_DR7 GUEST_RSP GUEST_RIP GUEST_RFLAGS GUEST_PENDING_DBG_EXCEPTIONS GUEST_SYSENTER_ESP GUEST_SYSENTER_EIP';
const EXIT_REASONS =
  'VM_EXIT_REASON VM_EXIT_INTR_INFO VM_EXIT_INTR_ERROR_CODE IDT_VECTORING_INFO_FIELD IDT_VECTORING_ERROR_CODE ' +
  'VM_EXIT_INSTRUCTION_LEN VMX_INSTRUCTION_INFO';
const EVENT = 'VM_ENTRY_INTR_INFO_FIELD VM_ENTRY_EXCEPTION_ERROR_CODE VM_ENTRY_INSTRUCTION_LEN';

/** Core 2. Every field has 8 bytes of its own, however small. */
export const PENRYN: VmcsLayout = {
  name: 'Penryn',
  revisions: [0x0d],
  accessRights: 'rotated',
  accessRightsBytes: 4,
  source: "Actaeon's measurement, which the VMCSINFO note of 2012 agrees with",
  offsets: offsetsOf([
    [0x20, 8, 'VMCS_LINK_POINTER GUEST_IA32_DEBUGCTL'],
    [
      0x40,
      8,
      'PIN_BASED_VM_EXEC_CONTROL CPU_BASED_VM_EXEC_CONTROL EXCEPTION_BITMAP PAGE_FAULT_ERROR_CODE_MASK ' +
        'PAGE_FAULT_ERROR_CODE_MATCH CR3_TARGET_COUNT VM_EXIT_CONTROLS VM_EXIT_MSR_STORE_COUNT VM_EXIT_MSR_LOAD_COUNT ' +
        `VM_ENTRY_CONTROLS VM_ENTRY_MSR_LOAD_COUNT ${EVENT} TPR_THRESHOLD VIRTUAL_APIC_PAGE_ADDR IO_BITMAP_A IO_BITMAP_B ` +
        'MSR_BITMAP VM_EXIT_MSR_STORE_ADDR VM_EXIT_MSR_LOAD_ADDR VM_ENTRY_MSR_LOAD_ADDR EXECUTIVE_VMCS_POINTER TSC_OFFSET',
    ],
    ...wideSegments(0x100),
    [0x1c0, 8, HOST_SELECTORS],
    [
      0x208,
      8,
      `${EXIT_REASONS} GUEST_GDTR_LIMIT GUEST_IDTR_LIMIT GUEST_INTERRUPTIBILITY_INFO GUEST_ACTIVITY_STATE GUEST_SMBASE ` +
        'GUEST_SYSENTER_CS',
    ],
    [0x278, 8, MASKS],
    [0x2c0, 8, EXIT_QUALIFICATIONS],
    [
      0x300,
      8,
      'GUEST_CR0 GUEST_CR3 GUEST_CR4 GUEST_GDTR_BASE GUEST_IDTR_BASE GUEST_DR7 GUEST_RSP GUEST_RIP GUEST_RFLAGS - ' +
        'GUEST_SYSENTER_ESP GUEST_SYSENTER_EIP',
    ],
    [0x380, 8, `${HOST_STATE} APIC_ACCESS_ADDR SECONDARY_VM_EXEC_CONTROL HOST_IA32_PERF_GLOBAL_CTRL`],
  ]),
};

/** Nehalem, Sandy Bridge and Ivy Bridge: measured on all three, and equal where more than one of them has a field. */
export const NEHALEM: VmcsLayout = {
  name: 'Nehalem, Sandy Bridge, Ivy Bridge',
  revisions: [0x0e, 0x10],
  accessRights: 'rotated',
  accessRightsBytes: 4,
  source: 'vmcsreverse on an i7-860 and an i3-3220, completed by rekall',
  offsets: offsetsOf([
    [12, 4, 'VM_INSTRUCTION_ERROR'],
    [64, 4, 'GUEST_INTR_STATUS POSTED_INTR_NV PLE_GAP PLE_WINDOW'],
    [
      80,
      8,
      'POSTED_INTR_DESC_ADDR EOI_EXIT_BITMAP0 EOI_EXIT_BITMAP1 EOI_EXIT_BITMAP2 EOI_EXIT_BITMAP3 APIC_ACCESS_ADDR',
    ],
    [
      160,
      8,
      'IO_BITMAP_A IO_BITMAP_B MSR_BITMAP VM_EXIT_MSR_STORE_ADDR VM_EXIT_MSR_LOAD_ADDR VM_ENTRY_MSR_LOAD_ADDR ' +
        `EXECUTIVE_VMCS_POINTER TSC_OFFSET VIRTUAL_APIC_PAGE_ADDR EPT_POINTER GUEST_PHYSICAL_ADDRESS ${GUEST_MSRS}`,
    ],
    [
      288,
      4,
      'CPU_BASED_VM_EXEC_CONTROL SECONDARY_VM_EXEC_CONTROL PIN_BASED_VM_EXEC_CONTROL EXCEPTION_BITMAP ' +
        'PAGE_FAULT_ERROR_CODE_MASK PAGE_FAULT_ERROR_CODE_MATCH CR3_TARGET_COUNT VM_EXIT_CONTROLS VM_EXIT_MSR_STORE_COUNT ' +
        `VM_EXIT_MSR_LOAD_COUNT VM_ENTRY_CONTROLS VM_ENTRY_MSR_LOAD_COUNT ${EVENT} TPR_THRESHOLD ` +
        `VMX_PREEMPTION_TIMER_VALUE - - ${EXIT_REASONS} GUEST_INTERRUPTIBILITY_INFO GUEST_ACTIVITY_STATE GUEST_SMBASE ` +
        'GUEST_SYSENTER_CS',
    ],
    [408, 8, `${EXIT_QUALIFICATIONS} ${GUEST_POINTERS}`],
    ...wideSegments(512),
    [704, 8, 'GUEST_GDTR_BASE GUEST_IDTR_BASE'],
    [720, 4, 'GUEST_GDTR_LIMIT GUEST_IDTR_LIMIT'],
    [728, 8, 'GUEST_CR0 GUEST_CR3 GUEST_CR4 VIRTUAL_PROCESSOR_ID'],
    [768, 4, HOST_SELECTORS],
    [800, 8, `HOST_IA32_PAT HOST_IA32_EFER HOST_IA32_PERF_GLOBAL_CTRL ${HOST_STATE} ${PDPTES} ${MASKS}`],
  ]),
};

/** Westmere: Nehalem's, with what it moved to make room, into the gaps after the selectors among others. */
export const WESTMERE: VmcsLayout = {
  name: 'Westmere',
  revisions: [0x0f],
  accessRights: 'rotated',
  accessRightsBytes: 4,
  source: "Actaeon's measurement, completed by Volatility's",
  offsets: offsetsOf([
    [
      0xa8,
      8,
      'IO_BITMAP_A IO_BITMAP_B VM_EXIT_MSR_STORE_ADDR VM_EXIT_MSR_LOAD_ADDR VM_ENTRY_MSR_LOAD_ADDR EXECUTIVE_VMCS_POINTER',
    ],
    [0xdc, 4, 'VIRTUAL_PROCESSOR_ID VIRTUAL_APIC_PAGE_ADDR'],
    [0xf8, 8, GUEST_MSRS],
    [
      0x120,
      4,
      'CPU_BASED_VM_EXEC_CONTROL SECONDARY_VM_EXEC_CONTROL PIN_BASED_VM_EXEC_CONTROL - PAGE_FAULT_ERROR_CODE_MASK ' +
        `PAGE_FAULT_ERROR_CODE_MATCH - - EPT_POINTER - - - ${EVENT} VM_EXIT_CONTROLS - VM_EXIT_MSR_STORE_COUNT ` +
        `VM_EXIT_MSR_LOAD_COUNT ${EXIT_REASONS}`,
    ],
    [0x190, 8, `TSC_OFFSET ${EXIT_QUALIFICATIONS} ${GUEST_POINTERS}`],
    ...wideSegments(0x200),
    [
      0x204,
      24,
      'GUEST_INTERRUPTIBILITY_INFO GUEST_ACTIVITY_STATE GUEST_SMBASE GUEST_SYSENTER_CS EXCEPTION_BITMAP CR3_TARGET_COUNT ' +
        'VM_ENTRY_CONTROLS VM_ENTRY_MSR_LOAD_COUNT',
    ],
    [0x2c0, 8, 'GUEST_GDTR_BASE GUEST_IDTR_BASE'],
    [0x2d0, 4, 'GUEST_GDTR_LIMIT GUEST_IDTR_LIMIT'],
    [0x2d8, 8, 'GUEST_CR0 GUEST_CR3 GUEST_CR4 APIC_ACCESS_ADDR MSR_BITMAP'],
    [0x300, 4, `${HOST_SELECTORS} TPR_THRESHOLD`],
    [0x328, 8, `HOST_IA32_EFER HOST_IA32_PERF_GLOBAL_CTRL ${HOST_STATE} ${PDPTES} ${MASKS}`],
  ]),
};

/** From Haswell on, up to Coffee Lake: measured on both ends, and equal in each field that both measurements have. */
export const HASWELL: VmcsLayout = {
  name: 'Haswell to Coffee Lake',
  revisions: [0x12, 0x04],
  accessRights: 'packed',
  accessRightsBytes: 2,
  source: 'vmcsreverse on an i7-9700K, completed by rekall on Haswell',
  offsets: offsetsOf([
    [12, 4, 'VM_INSTRUCTION_ERROR'],
    ...packedSegments([
      ['ES', 32],
      ['CS', 48],
      ['SS', 64],
      ['DS', 80],
      ['LDTR', 96],
      ['TR', 112],
      ['FS', 128],
      ['GS', 144],
    ]),
    [164, 4, 'GUEST_GDTR_LIMIT GUEST_GDTR_BASE'],
    [180, 4, 'GUEST_IDTR_LIMIT GUEST_IDTR_BASE'],
    [192, 2, `${HOST_SELECTORS} VIRTUAL_PROCESSOR_ID EXECUTIVE_VMCS_POINTER`],
    [240, 4, 'PLE_GAP PLE_WINDOW'],
    [248, 8, GUEST_MSRS],
    [
      288,
      4,
      'CPU_BASED_VM_EXEC_CONTROL SECONDARY_VM_EXEC_CONTROL PIN_BASED_VM_EXEC_CONTROL TPR_THRESHOLD ' +
        'PAGE_FAULT_ERROR_CODE_MASK PAGE_FAULT_ERROR_CODE_MATCH GUEST_INTERRUPTIBILITY_INFO GUEST_ACTIVITY_STATE ' +
        `EPT_POINTER - GUEST_PHYSICAL_ADDRESS - ${EVENT} VM_EXIT_CONTROLS VMX_PREEMPTION_TIMER_VALUE ` +
        `VM_EXIT_MSR_STORE_COUNT VM_EXIT_MSR_LOAD_COUNT ${EXIT_REASONS}`,
    ],
    [400, 8, `TSC_OFFSET ${EXIT_QUALIFICATIONS} ${GUEST_POINTERS}`],
    [512, 4, 'GUEST_SYSENTER_CS EPTP_INDEX'],
    [520, 8, `GUEST_CR0 GUEST_CR3 GUEST_CR4 ${PDPTES} ${MASKS}`],
    [680, 4, 'GUEST_SMBASE - EXCEPTION_BITMAP CR3_TARGET_COUNT VM_ENTRY_CONTROLS VM_ENTRY_MSR_LOAD_COUNT'],
    [
      704,
      8,
      'VIRTUAL_APIC_PAGE_ADDR IO_BITMAP_A IO_BITMAP_B VM_EXIT_MSR_STORE_ADDR VM_EXIT_MSR_LOAD_ADDR ' +
        'VM_ENTRY_MSR_LOAD_ADDR APIC_ACCESS_ADDR MSR_BITMAP HOST_RSP HOST_RIP HOST_IA32_PAT HOST_IA32_EFER ' +
        'HOST_IA32_PERF_GLOBAL_CTRL HOST_CR0 HOST_CR3 HOST_CR4 HOST_IDTR_BASE HOST_GDTR_BASE HOST_FS_BASE HOST_GS_BASE ' +
        'HOST_TR_BASE HOST_IA32_SYSENTER_ESP HOST_IA32_SYSENTER_EIP HOST_IA32_SYSENTER_CS',
    ],
    [894, 2, 'GUEST_PML_INDEX VM_FUNCTION_CONTROL'],
    [
      904,
      8,
      'EPTP_LIST_ADDRESS VMREAD_BITMAP VMWRITE_BITMAP PML_ADDRESS XSS_EXIT_BITMAP ENCLS_EXITING_BITMAP - - ' +
        'VE_INFORMATION_ADDRESS GUEST_BNDCFGS',
    ],
  ]),
};
