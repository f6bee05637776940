/**
 * The fields of a VMCS, by their encodings: `enum vmcs_field` of arch/x86/include/asm/vmx.h, with the fields of the
 * Intel SDM (vol. 3, appendix B) that Linux has no use for. Names are Linux's.
 *
 * An encoding says what a field is: bit 0 is the upper half of a 64-bit field, bits 9:1 an index, 11:10 the kind,
 * 14:13 the width. Where a field lies in memory it does not say: that is the processor's own business (`vmcs-layout.ts`).
 */

export type VmcsFieldKind = 'control' | 'read-only' | 'guest' | 'host';

export interface VmcsField {
  readonly name: string;
  readonly encoding: number;
  /** In bits; a natural-width field has 64 on x86-64. */
  readonly width: 16 | 32 | 64;
  readonly natural: boolean;
  readonly kind: VmcsFieldKind;
}

const KINDS = ['control', 'read-only', 'guest', 'host'] as const;
const WIDTHS = [16, 64, 32, 64] as const;
const NATURAL = 3;

/** Fields one after another, their encodings 2 apart; `-` is an encoding that nobody uses. */
const RUNS: readonly (readonly [first: number, names: string])[] = [
  [0x0000, 'VIRTUAL_PROCESSOR_ID POSTED_INTR_NV EPTP_INDEX HLAT_PREFIX_SIZE LAST_PID_POINTER_INDEX'],
  [
    0x0800,
    'GUEST_ES_SELECTOR GUEST_CS_SELECTOR GUEST_SS_SELECTOR GUEST_DS_SELECTOR GUEST_FS_SELECTOR GUEST_GS_SELECTOR ' +
      'GUEST_LDTR_SELECTOR GUEST_TR_SELECTOR GUEST_INTR_STATUS GUEST_PML_INDEX',
  ],
  [
    0x0c00,
    'HOST_ES_SELECTOR HOST_CS_SELECTOR HOST_SS_SELECTOR HOST_DS_SELECTOR HOST_FS_SELECTOR HOST_GS_SELECTOR HOST_TR_SELECTOR',
  ],
  [
    0x2000,
    'IO_BITMAP_A IO_BITMAP_B MSR_BITMAP VM_EXIT_MSR_STORE_ADDR VM_EXIT_MSR_LOAD_ADDR VM_ENTRY_MSR_LOAD_ADDR ' +
      'EXECUTIVE_VMCS_POINTER PML_ADDRESS TSC_OFFSET VIRTUAL_APIC_PAGE_ADDR APIC_ACCESS_ADDR POSTED_INTR_DESC_ADDR ' +
      'VM_FUNCTION_CONTROL EPT_POINTER EOI_EXIT_BITMAP0 EOI_EXIT_BITMAP1 EOI_EXIT_BITMAP2 EOI_EXIT_BITMAP3 ' +
      'EPTP_LIST_ADDRESS VMREAD_BITMAP VMWRITE_BITMAP VE_INFORMATION_ADDRESS XSS_EXIT_BITMAP ENCLS_EXITING_BITMAP ' +
      'SPP_TABLE_POINTER TSC_MULTIPLIER TERTIARY_VM_EXEC_CONTROL ENCLV_EXITING_BITMAP LOW_PASID_DIRECTORY ' +
      'HIGH_PASID_DIRECTORY SHARED_EPT_POINTER PCONFIG_EXITING_BITMAP HLAT_POINTER PID_POINTER_TABLE ' +
      'SECONDARY_VM_EXIT_CONTROLS - - SPEC_CTRL_MASK SPEC_CTRL_SHADOW',
  ],
  [0x2400, 'GUEST_PHYSICAL_ADDRESS'],
  [
    0x2800,
    'VMCS_LINK_POINTER GUEST_IA32_DEBUGCTL GUEST_IA32_PAT GUEST_IA32_EFER GUEST_IA32_PERF_GLOBAL_CTRL GUEST_PDPTR0 ' +
      'GUEST_PDPTR1 GUEST_PDPTR2 GUEST_PDPTR3 GUEST_BNDCFGS GUEST_IA32_RTIT_CTL GUEST_IA32_LBR_CTL GUEST_IA32_PKRS',
  ],
  [0x2c00, 'HOST_IA32_PAT HOST_IA32_EFER HOST_IA32_PERF_GLOBAL_CTRL HOST_IA32_PKRS'],
  [
    0x4000,
    'PIN_BASED_VM_EXEC_CONTROL CPU_BASED_VM_EXEC_CONTROL EXCEPTION_BITMAP PAGE_FAULT_ERROR_CODE_MASK ' +
      'PAGE_FAULT_ERROR_CODE_MATCH CR3_TARGET_COUNT VM_EXIT_CONTROLS VM_EXIT_MSR_STORE_COUNT VM_EXIT_MSR_LOAD_COUNT ' +
      'VM_ENTRY_CONTROLS VM_ENTRY_MSR_LOAD_COUNT VM_ENTRY_INTR_INFO_FIELD VM_ENTRY_EXCEPTION_ERROR_CODE ' +
      'VM_ENTRY_INSTRUCTION_LEN TPR_THRESHOLD SECONDARY_VM_EXEC_CONTROL PLE_GAP PLE_WINDOW NOTIFY_WINDOW',
  ],
  [
    0x4400,
    'VM_INSTRUCTION_ERROR VM_EXIT_REASON VM_EXIT_INTR_INFO VM_EXIT_INTR_ERROR_CODE IDT_VECTORING_INFO_FIELD ' +
      'IDT_VECTORING_ERROR_CODE VM_EXIT_INSTRUCTION_LEN VMX_INSTRUCTION_INFO',
  ],
  [
    0x4800,
    'GUEST_ES_LIMIT GUEST_CS_LIMIT GUEST_SS_LIMIT GUEST_DS_LIMIT GUEST_FS_LIMIT GUEST_GS_LIMIT GUEST_LDTR_LIMIT ' +
      'GUEST_TR_LIMIT GUEST_GDTR_LIMIT GUEST_IDTR_LIMIT GUEST_ES_AR_BYTES GUEST_CS_AR_BYTES GUEST_SS_AR_BYTES ' +
      'GUEST_DS_AR_BYTES GUEST_FS_AR_BYTES GUEST_GS_AR_BYTES GUEST_LDTR_AR_BYTES GUEST_TR_AR_BYTES ' +
      'GUEST_INTERRUPTIBILITY_INFO GUEST_ACTIVITY_STATE GUEST_SMBASE GUEST_SYSENTER_CS - VMX_PREEMPTION_TIMER_VALUE',
  ],
  [0x4c00, 'HOST_IA32_SYSENTER_CS'],
  [
    0x6000,
    'CR0_GUEST_HOST_MASK CR4_GUEST_HOST_MASK CR0_READ_SHADOW CR4_READ_SHADOW CR3_TARGET_VALUE0 CR3_TARGET_VALUE1 ' +
      'CR3_TARGET_VALUE2 CR3_TARGET_VALUE3',
  ],
  [0x6400, 'EXIT_QUALIFICATION IO_RCX IO_RSI IO_RDI IO_RIP GUEST_LINEAR_ADDRESS'],
  [
    0x6800,
    'GUEST_CR0 GUEST_CR3 GUEST_CR4 GUEST_ES_BASE GUEST_CS_BASE GUEST_SS_BASE GUEST_DS_BASE GUEST_FS_BASE GUEST_GS_BASE ' +
      'GUEST_LDTR_BASE GUEST_TR_BASE GUEST_GDTR_BASE GUEST_IDTR_BASE GUEST_DR7 GUEST_RSP GUEST_RIP GUEST_RFLAGS ' +
      'GUEST_PENDING_DBG_EXCEPTIONS GUEST_SYSENTER_ESP GUEST_SYSENTER_EIP GUEST_S_CET GUEST_SSP GUEST_INTR_SSP_TABLE',
  ],
  [
    0x6c00,
    'HOST_CR0 HOST_CR3 HOST_CR4 HOST_FS_BASE HOST_GS_BASE HOST_TR_BASE HOST_GDTR_BASE HOST_IDTR_BASE ' +
      'HOST_IA32_SYSENTER_ESP HOST_IA32_SYSENTER_EIP HOST_RSP HOST_RIP HOST_S_CET HOST_SSP HOST_INTR_SSP_TABLE',
  ],
];

/** What an encoding says about its field. */
export function vmcsField(name: string, encoding: number): VmcsField {
  const kind = KINDS[(encoding >> 10) & 3] ?? 'control';
  const width = WIDTHS[(encoding >> 13) & 3] ?? 64;
  return { name, encoding, width, natural: ((encoding >> 13) & 3) === NATURAL, kind };
}

/** All fields, by ascending encoding. Upper halves of 64-bit fields (odd encodings) are no fields of their own here. */
export const VMCS_FIELDS: readonly VmcsField[] = RUNS.flatMap(([first, names]) =>
  names.split(' ').flatMap((name, i) => (name === '-' ? [] : [vmcsField(name, first + 2 * i)])),
);

const BY_NAME = new Map(VMCS_FIELDS.map((field) => [field.name, field]));
const BY_ENCODING = new Map(VMCS_FIELDS.map((field) => [field.encoding, field]));

/** The field of a name, Linux's spelling; undefined: no such field. */
export function fieldNamed(name: string): VmcsField | undefined {
  return BY_NAME.get(name);
}

/** The field of an encoding; undefined: none that is known, or the upper half of one. */
export function fieldEncoded(encoding: number): VmcsField | undefined {
  return BY_ENCODING.get(encoding);
}
