/** Bits of control registers and control fields by name, as Linux calls them, for people. */

/** A name per bit, from bit 0 on; `-` has none. */
type Bits = readonly string[];

function bits(names: string): Bits {
  return names.split(' ');
}

/** `names` from bit `first` on. */
function from(first: number, names: string): Bits {
  return [...Array<string>(first).fill('-'), ...bits(names)];
}

const CR0 = bits('PE MP EM TS ET NE - - - - - - - - - - WP - AM - - - - - - - - - - NW CD PG');
const CR4 = bits(
  'VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP LA57 VMXE SMXE - FSGSBASE PCIDE OSXSAVE KL SMEP SMAP PKE CET PKS UINTR - - LAM_SUP - - - FRED',
);
const EFER = bits('SCE - - - - - - - LME - LMA NX SVME LMSLE FFXSR TCE - MCOMMIT INTWB - UAIE AUTOIBRS');
const RFLAGS = bits('CF - PF - AF - ZF SF TF IF DF OF - - NT - RF VM AC VIF VIP ID');
const EXCEPTIONS = bits('DE DB NMI BP OF BR UD NM DF - TS NP SS GP PF - MF AC MC XM VE CP - - - - - - HV VC SX');

/** Bits of fields that both kinds of structure have, by the end of their names. */
const REGISTERS: readonly (readonly [pattern: RegExp, names: Bits])[] = [
  [/^(.*_)?cr0$/i, CR0],
  [/^cr0_/i, CR0],
  [/^(.*_)?cr4$/i, CR4],
  [/^cr4_/i, CR4],
  [/efer$/i, EFER],
  [/rflags$/i, RFLAGS],
  [/^exception_bitmap$/i, EXCEPTIONS],
];

/** Fields of a VMCS (arch/x86/include/asm/vmxfeatures.h and vmx.h; Intel SDM vol. 3, "VM-Execution Control Fields"). */
const VMCS: Readonly<Record<string, Bits>> = {
  PIN_BASED_VM_EXEC_CONTROL: bits('INTR_EXITING - - NMI_EXITING - VIRTUAL_NMIS PREEMPTION_TIMER POSTED_INTR'),
  CPU_BASED_VM_EXEC_CONTROL: bits(
    '- - INTR_WINDOW_EXITING USE_TSC_OFFSETTING - - - HLT_EXITING - INVLPG_EXITING MWAIT_EXITING RDPMC_EXITING ' +
      'RDTSC_EXITING - - CR3_LOAD_EXITING CR3_STORE_EXITING TERTIARY_CONTROLS - CR8_LOAD_EXITING CR8_STORE_EXITING ' +
      'VIRTUAL_TPR NMI_WINDOW_EXITING MOV_DR_EXITING UNCOND_IO_EXITING USE_IO_BITMAPS - MONITOR_TRAP_FLAG ' +
      'USE_MSR_BITMAPS MONITOR_EXITING PAUSE_EXITING SEC_CONTROLS',
  ),
  SECONDARY_VM_EXEC_CONTROL: bits(
    'VIRT_APIC_ACCESSES EPT DESC_EXITING RDTSCP VIRTUAL_X2APIC VPID WBINVD_EXITING UNRESTRICTED_GUEST ' +
      'APIC_REGISTER_VIRT VIRT_INTR_DELIVERY PAUSE_LOOP_EXITING RDRAND_EXITING INVPCID VMFUNC SHADOW_VMCS ' +
      'ENCLS_EXITING RDSEED_EXITING PAGE_MOD_LOGGING EPT_VIOLATION_VE PT_CONCEAL_VMX XSAVES - MODE_BASED_EPT_EXEC ' +
      '- PT_USE_GPA TSC_SCALING USR_WAIT_PAUSE - ENCLV_EXITING - BUS_LOCK_DETECTION NOTIFY_VM_EXITING',
  ),
  TERTIARY_VM_EXEC_CONTROL: from(4, 'IPI_VIRT'),
  VM_EXIT_CONTROLS: bits(
    '- - SAVE_DEBUG_CONTROLS - - - - - - HOST_ADDR_SPACE_SIZE - - LOAD_IA32_PERF_GLOBAL_CTRL - - ACK_INTR_ON_EXIT - - ' +
      'SAVE_IA32_PAT LOAD_IA32_PAT SAVE_IA32_EFER LOAD_IA32_EFER SAVE_VMX_PREEMPTION_TIMER CLEAR_BNDCFGS ' +
      'PT_CONCEAL_PIP CLEAR_IA32_RTIT_CTL - - LOAD_CET_STATE - SAVE_IA32_PERF_GLOBAL_CTRL',
  ),
  VM_ENTRY_CONTROLS: bits(
    '- - LOAD_DEBUG_CONTROLS - - - - - - IA32E_MODE SMM DEACT_DUAL_MONITOR - LOAD_IA32_PERF_GLOBAL_CTRL LOAD_IA32_PAT ' +
      'LOAD_IA32_EFER LOAD_BNDCFGS PT_CONCEAL_PIP LOAD_IA32_RTIT_CTL - LOAD_CET_STATE',
  ),
  GUEST_INTERRUPTIBILITY_INFO: bits('STI MOV_SS SMI NMI ENCLAVE'),
};

/** Fields of a VMCB (arch/x86/include/asm/svm.h; AMD64 APM vol. 2, appendix B). */
const VMCB: Readonly<Record<string, Bits>> = {
  'intercepts[0]': bits(
    'CR0_READ - - CR3_READ CR4_READ - - - CR8_READ - - - - - - - CR0_WRITE - - CR3_WRITE CR4_WRITE - - - CR8_WRITE',
  ),
  'intercepts[1]': bits(
    'DR0_READ DR1_READ DR2_READ DR3_READ DR4_READ DR5_READ DR6_READ DR7_READ - - - - - - - - DR0_WRITE DR1_WRITE ' +
      'DR2_WRITE DR3_WRITE DR4_WRITE DR5_WRITE DR6_WRITE DR7_WRITE',
  ),
  'intercepts[2]': EXCEPTIONS,
  'intercepts[3]': bits(
    'INTR NMI SMI INIT VINTR SELECTIVE_CR0 STORE_IDTR STORE_GDTR STORE_LDTR STORE_TR LOAD_IDTR LOAD_GDTR LOAD_LDTR LOAD_TR ' +
      'RDTSC RDPMC PUSHF POPF CPUID RSM IRET INTn INVD PAUSE HLT INVLPG INVLPGA IOIO_PROT MSR_PROT TASK_SWITCH ' +
      'FERR_FREEZE SHUTDOWN',
  ),
  'intercepts[4]': bits(
    'VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT RDTSCP ICEBP WBINVD MONITOR MWAIT MWAIT_COND XSETBV RDPRU EFER',
  ),
  'intercepts[5]': bits('INVLPGB INVLPGB_ILLEGAL INVPCID MCOMMIT TLBSYNC BUSLOCK IDLE_HLT'),
  int_ctl: from(
    8,
    'V_IRQ V_GIF - V_NMI_PENDING V_NMI_BLOCKING - - - - - - - V_IGN_TPR - - - V_INTR_MASKING V_GIF_ENABLE V_NMI_ENABLE - - - X2APIC AVIC',
  ),
  int_state: bits('INTERRUPT_SHADOW GUEST_INTERRUPT'),
  misc_ctl: bits('NESTED_PAGING SEV SEV_ES GMET'),
  misc_ctl2: bits('V_LBR V_VMLOAD_VMSAVE'),
  clean: bits('INTERCEPTS PERM_MAP ASID INTR NPT CR DR DT SEG CR2 LBR AVIC CET'),
  guest_sev_features: bits('SNP_ACTIVE - - RESTRICTED_INJECTION ALTERNATE_INJECTION DEBUG_SWAP - - - SECURE_TSC'),
};

/** Values that are one of a few, by field. */
const STATES: Readonly<Record<string, readonly string[]>> = {
  GUEST_ACTIVITY_STATE: ['active', 'halted', 'shut down', 'waiting for a start-up interrupt'],
};

/** Why the processor left the guest (arch/x86/include/uapi/asm/vmx.h), the ones that KVM meets. */
const VMX_EXITS = new Map<number, string>(
  (
    '0 EXCEPTION_NMI 1 EXTERNAL_INTERRUPT 2 TRIPLE_FAULT 3 INIT_SIGNAL 4 SIPI_SIGNAL 7 INTERRUPT_WINDOW 8 NMI_WINDOW ' +
    '9 TASK_SWITCH 10 CPUID 12 HLT 13 INVD 14 INVLPG 15 RDPMC 16 RDTSC 18 VMCALL 19 VMCLEAR 20 VMLAUNCH 21 VMPTRLD ' +
    '22 VMPTRST 23 VMREAD 24 VMRESUME 25 VMWRITE 26 VMOFF 27 VMON 28 CR_ACCESS 29 DR_ACCESS 30 IO_INSTRUCTION ' +
    '31 MSR_READ 32 MSR_WRITE 33 INVALID_STATE 34 MSR_LOAD_FAIL 36 MWAIT_INSTRUCTION 37 MONITOR_TRAP_FLAG ' +
    '39 MONITOR_INSTRUCTION 40 PAUSE_INSTRUCTION 41 MCE_DURING_VMENTRY 43 TPR_BELOW_THRESHOLD 44 APIC_ACCESS ' +
    '45 EOI_INDUCED 46 GDTR_IDTR 47 LDTR_TR 48 EPT_VIOLATION 49 EPT_MISCONFIG 50 INVEPT 51 RDTSCP 52 PREEMPTION_TIMER ' +
    '53 INVVPID 54 WBINVD 55 XSETBV 56 APIC_WRITE 57 RDRAND 58 INVPCID 59 VMFUNC 60 ENCLS 61 RDSEED 62 PML_FULL ' +
    '63 XSAVES 64 XRSTORS 67 UMWAIT 68 TPAUSE 74 BUS_LOCK 75 NOTIFY 77 TDCALL'
  )
    .split(/(?<=\D) /)
    .map((pair) => pair.split(' ') as [string, string])
    .map(([number, name]) => [Number(number), name]),
);

/** The same of SVM (arch/x86/include/uapi/asm/svm.h), from 0x60 on, where the intercepts of the fourth word begin. */
const SVM_EXITS = new Map<number, string>([
  ...bits(
    'INTR NMI SMI INIT VINTR CR0_SEL_WRITE IDTR_READ GDTR_READ LDTR_READ TR_READ IDTR_WRITE GDTR_WRITE LDTR_WRITE TR_WRITE ' +
      'RDTSC RDPMC PUSHF POPF CPUID RSM IRET SWINT INVD PAUSE HLT INVLPG INVLPGA IOIO MSR TASK_SWITCH FERR_FREEZE SHUTDOWN ' +
      'VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT RDTSCP ICEBP WBINVD MONITOR MWAIT MWAIT_COND XSETBV RDPRU',
  ).map((name, i): [number, string] => [0x60 + i, name]),
  [0x400, 'NPF'],
  [0x401, 'AVIC_INCOMPLETE_IPI'],
  [0x402, 'AVIC_UNACCELERATED_ACCESS'],
  [0x403, 'VMGEXIT'],
]);

/** Why the guest was left, by a VMCS's VM_EXIT_REASON (the low 16 bits). */
export function vmxExitName(reason: number): string | undefined {
  return VMX_EXITS.get(reason & 0xffff);
}

/** Why the guest was left, by a VMCB's exit_code. */
export function svmExitName(code: bigint): string | undefined {
  if (code >= 0n && code < 0x20n) return `${(code & 0x10n) === 0n ? 'READ' : 'WRITE'}_CR${code & 0xfn}`;
  if (code >= 0x20n && code < 0x40n) return `${(code & 0x10n) === 0n ? 'READ' : 'WRITE'}_DR${code & 0xfn}`;
  if (code >= 0x40n && code < 0x60n) return `EXCEPTION_${code - 0x40n}`;
  return code === 0xffff_ffff_ffff_ffffn ? 'INVALID' : SVM_EXITS.get(Number(code));
}

/** What a field's value says, in names: bits that are set, a state, why the guest was left. Empty where it is a plain value. */
export function namesOf(structure: 'VMCS' | 'VMCB', field: string, value: bigint): string[] {
  if (field === 'VM_EXIT_REASON') return present(vmxExitName(Number(value)));
  if (field === 'exit_code') return present(svmExitName(value));
  const states = STATES[field];
  if (states !== undefined) return present(states[Number(value)]);
  const names = (structure === 'VMCS' ? VMCS : VMCB)[field] ?? REGISTERS.find(([pattern]) => pattern.test(field))?.[1];
  return names === undefined ? [] : setBits(value, names);
}

function present(name: string | undefined): string[] {
  return name === undefined ? [] : [name];
}

function setBits(value: bigint, names: Bits): string[] {
  const set: string[] = [];
  for (let bit = 0; bit < 64 && value >> BigInt(bit) !== 0n; bit++) {
    if (((value >> BigInt(bit)) & 1n) === 0n) continue;
    const name = names[bit] ?? '-';
    set.push(name === '-' ? `bit ${bit}` : name);
  }
  return set;
}
