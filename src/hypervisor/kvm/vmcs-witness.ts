import type { KernelView } from '../../kernel/kernel-view.js';
import type { Struct } from '../../kernel/types/struct.js';
import type { KnownValue, VmcsWitness } from '../control/solver.js';
import { VMCS_BYTES } from '../control/vmcs-layout.js';
import { CachedRegisters } from './cached-registers.js';
import { readable, type Vcpu, vendorVcpu } from './vcpus.js';

/**
 * What KVM's structures say that fields of a vCPU's VMCS hold (arch/x86/kvm/vmx/vmx.c): what it keeps copies of
 * (`loaded_vmcs.host_state` and `.controls_shadow`, `segment_cache`), what it wrote from variables of its own, and what it
 * read and has cached. Fields that the controls leave without use are left out. Undefined where there is no VMCS.
 * @param name what to call it
 */
export function vmcsWitness(view: KernelView, vcpu: Vcpu, name: string): VmcsWitness | undefined {
  const around = vendorVcpu(view, vcpu.vcpu);
  if (around?.vendor !== 'vmx') return undefined;
  const vmx = around.struct;
  const loaded = readable(() => vmx.follow('loaded_vmcs'));
  // Of a guest that runs a guest, arch has that one's registers.
  const own = loaded !== undefined && readable(() => vmx.addressOf('vmcs01')) === loaded.address;
  const bytes = own ? readable(() => view.memory.bytes(loaded.pointer('vmcs'), VMCS_BYTES)) : undefined;
  if (loaded === undefined || bytes === undefined) return undefined;
  const facts = new Facts(view, vcpu, vmx, loaded);
  facts.ofControls();
  facts.ofHost();
  facts.ofAddresses();
  facts.ofGuest();
  facts.ofSegments();
  facts.ofExit();
  return { name, bytes, known: facts.known };
}

// Bits of the controls (Intel SDM vol. 3, "VM-Execution Control Fields"; asm/vmx.h).
const EXEC_TSC_OFFSET = 1 << 3;
const EXEC_TPR_SHADOW = 1 << 21;
const EXEC_MSR_BITMAP = 1 << 28;
const EXEC_SECONDARY = 1 << 31;
const SECONDARY_EPT = 1 << 1;
const SECONDARY_VPID = 1 << 5;
const SECONDARY_PLE = 1 << 10;
const SECONDARY_TSC_SCALING = 1 << 25;
const PIN_POSTED = 1 << 7;
const ENTRY_LOAD_PAT = 1 << 14;
const ENTRY_LOAD_EFER = 1 << 15;
const EXIT_LOAD_EFER = 1 << 21;

/** `kvm_save_segment` of these, in the order of `VCPU_SREG_*`; a bit of `bitmask` for each of their four values. */
const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'TR', 'LDTR'] as const;
const SEGMENT_VALUES = [
  ['selector', 'SELECTOR'],
  ['base', 'BASE'],
  ['limit', 'LIMIT'],
  ['ar', 'AR_BYTES'],
] as const;

const KERNEL_CS = 0x10n;
const KERNEL_DS = 0x18n;
/** `GDT_ENTRY_TSS * 8`. */
const KERNEL_TR = 0x40n;
/** `CPU_ENTRY_AREA_PER_CPU`, arch/x86/include/asm/pgtable_areas.h. */
const CPU_ENTRY_AREAS = 0xffff_fe00_0000_1000n;
/** An instruction that KVM did for the guest is at most so long. */
const MOST_SKIPPED = 15n;
const U32 = 0xffff_ffffn;

class Facts {
  readonly known = new Map<string, KnownValue>();

  constructor(
    private readonly view: KernelView,
    private readonly vcpu: Vcpu,
    private readonly vmx: Struct,
    private readonly loaded: Struct,
  ) {}

  /** `controls_shadow`: written through by `*_controls_set()`. */
  ofControls(): void {
    for (const [field, member] of [
      ['PIN_BASED_VM_EXEC_CONTROL', 'pin'],
      ['CPU_BASED_VM_EXEC_CONTROL', 'exec'],
      ['SECONDARY_VM_EXEC_CONTROL', 'secondary_exec'],
      ['VM_EXIT_CONTROLS', 'vm_exit'],
      ['VM_ENTRY_CONTROLS', 'vm_entry'],
    ] as const) {
      if (member === 'secondary_exec' && !this.has('exec', EXEC_SECONDARY)) continue;
      this.tell(field, `loaded_vmcs.controls_shadow.${member}`, () => BigInt(this.control(member)));
    }
    if (this.secondary(SECONDARY_PLE)) {
      this.variable('PLE_GAP', 'ple_gap', U32);
      if (readable(() => this.vmx.int('ple_window_dirty')) === 0) this.member('PLE_WINDOW', 'ple_window', U32);
    }
    if (this.secondary(SECONDARY_VPID)) this.member('VIRTUAL_PROCESSOR_ID', 'vpid', 0xffffn);
    if (this.has('exec', EXEC_TSC_OFFSET)) this.cached('TSC_OFFSET', 'tsc_offset');
    if (this.secondary(SECONDARY_TSC_SCALING)) this.cached('TSC_MULTIPLIER', 'tsc_scaling_ratio');
  }

  /** `host_state`: written through by vmx_set_host_fs_gs(), vmx_update_host_rsp() and their like; and constants. */
  ofHost(): void {
    const state = (member: string): bigint => this.loaded.big(`host_state.${member}`);
    for (const [field, member] of [
      ['HOST_CR3', 'cr3'],
      ['HOST_CR4', 'cr4'],
      ['HOST_RSP', 'rsp'],
      ['HOST_FS_BASE', 'fs_base'],
      ['HOST_GS_BASE', 'gs_base'],
    ] as const) {
      this.tell(field, `loaded_vmcs.host_state.${member}`, () => state(member));
    }
    // A selector of a process is not what a host may have.
    const selector = (member: string): bigint => ((state(member) & 7n) === 0n ? state(member) : 0n);
    for (const [name, value, from] of [
      ['ES', () => 0n, '0'],
      ['CS', () => KERNEL_CS, '__KERNEL_CS'],
      ['SS', () => KERNEL_DS, '__KERNEL_DS'],
      ['DS', () => 0n, '0'],
      ['FS', () => selector('fs_sel'), 'loaded_vmcs.host_state.fs_sel'],
      ['GS', () => selector('gs_sel'), 'loaded_vmcs.host_state.gs_sel'],
      ['TR', () => KERNEL_TR, 'GDT_ENTRY_TSS'],
    ] as const) {
      this.tell(`HOST_${name}_SELECTOR`, from, value);
    }
    this.tell('HOST_RIP', 'the symbol vmx_vmexit', () => this.view.address('vmx_vmexit'));
    this.variable('HOST_IDTR_BASE', 'host_idt_base');
    this.tell('HOST_IA32_SYSENTER_EIP', 'the symbol entry_SYSENTER_compat', () =>
      this.view.address('entry_SYSENTER_compat'),
    );
    if ((this.control('vm_exit') & EXIT_LOAD_EFER) !== 0) this.variable('HOST_IA32_EFER', 'host_efer');
    const area = readable(() => this.entryArea());
    if (area === undefined) return;
    const from = `the cpu_entry_area of CPU ${this.vcpu.hostCpu}`;
    this.tell('HOST_GDTR_BASE', from, () => area.addressOf('gdt'));
    this.tell('HOST_TR_BASE', from, () => area.addressOf('tss.x86_tss'));
    this.tell('HOST_IA32_SYSENTER_ESP', from, () => {
      const size = area.type.require('entry_stack_page.stack').size;
      return area.addressOf('entry_stack_page.stack') + BigInt(size);
    });
  }

  /** Physical addresses of what the processor was given. */
  ofAddresses(): void {
    if (this.secondary(SECONDARY_EPT)) {
      this.tell(
        'EPT_POINTER',
        'arch.root_mmu.root.hpa',
        () => {
          const mmu = this.view.struct('kvm_mmu', this.vcpu.vcpu.addressOf('arch.root_mmu'));
          return mmu.big(mmu.has('root.hpa') ? 'root.hpa' : 'root_hpa');
        },
        0x000f_ffff_ffff_f000n,
      );
    }
    if (this.has('exec', EXEC_MSR_BITMAP)) {
      this.tell('MSR_BITMAP', 'loaded_vmcs.msr_bitmap', () => this.physical(this.loaded.pointer('msr_bitmap')));
    }
    for (const [field, member] of [
      ['VM_EXIT_MSR_LOAD_ADDR', 'msr_autoload.host.val'],
      ['VM_ENTRY_MSR_LOAD_ADDR', 'msr_autoload.guest.val'],
      // Since 7.0; before that it is written for guests of guests only, and called otherwise.
      ['VM_EXIT_MSR_STORE_ADDR', 'msr_autostore.val'],
    ] as const) {
      this.tell(field, `vcpu_vmx.${member}`, () => this.physical(this.vmx.addressOf(member)));
    }
    if (this.has('exec', EXEC_TPR_SHADOW)) {
      this.tell('VIRTUAL_APIC_PAGE_ADDR', 'arch.apic->regs', () =>
        this.physical(this.vcpu.vcpu.pointer('arch.apic->regs')),
      );
    }
    if ((this.control('pin') & PIN_POSTED) !== 0) {
      const path = this.vmx.has('pi_desc') ? 'pi_desc' : 'vt.pi_desc';
      this.tell('POSTED_INTR_DESC_ADDR', `vcpu_vmx.${path}`, () => this.physical(this.vmx.addressOf(path)));
    }
  }

  /** Registers that KVM has read, and not changed since; what the guest owns of CR0 and CR4. */
  ofGuest(): void {
    const registers = readable(() => new CachedRegisters(this.view, this.vcpu.vcpu));
    if (registers === undefined) return;
    const cached = (field: string, name: string, more?: Partial<KnownValue>): void => {
      if (!registers.all().has(name) || !registers.has(name) || (registers.changed(name) && more?.behind === undefined))
        return;
      this.known.set(field, { value: registers.get(name), from: `arch.regs: ${name}`, ...more });
    };
    cached('GUEST_RIP', 'rip', { behind: MOST_SKIPPED });
    cached('GUEST_RSP', 'rsp');
    cached('GUEST_CR3', 'cr3', { from: 'arch.cr3' });
    for (const name of ['cr0', 'cr4'] as const) {
      const field = name.toUpperCase();
      const owned = readable(() => this.vcpu.vcpu.big(`arch.${name}_guest_owned_bits`));
      if (owned === undefined) continue;
      const from = `arch.${name}_guest_owned_bits`;
      this.known.set(`${field}_GUEST_HOST_MASK`, { value: BigInt.asUintN(64, ~owned), from });
      // What the guest owns it may have changed since the shadow was written.
      if (!registers.all().has(name)) continue;
      this.known.set(`${field}_READ_SHADOW`, {
        value: registers.get(name),
        bits: BigInt.asUintN(64, ~owned),
        from: `arch.${name}`,
      });
      cached(`GUEST_${field}`, name, { bits: owned, from: `arch.${name}` });
    }
    const entry = this.control('vm_entry');
    if ((entry & ENTRY_LOAD_PAT) !== 0) this.cached('GUEST_IA32_PAT', 'pat');
    if ((entry & ENTRY_LOAD_EFER) !== 0) this.cached('GUEST_IA32_EFER', 'efer');
    if (registers.hasExtended('RFLAGS')) this.member('GUEST_RFLAGS', 'rflags');
    if (registers.hasExtended('EXIT_INFO_1')) this.vt('EXIT_QUALIFICATION', 'exit_qualification');
    if (registers.hasExtended('EXIT_INFO_2')) this.vt('VM_EXIT_INTR_INFO', 'exit_intr_info', U32);
    this.segments = registers.hasExtended('SEGMENTS');
  }

  private segments = false;

  /** `segment_cache`: what was read since the guest was left. */
  ofSegments(): void {
    const mask = this.segments ? readable(() => this.vmx.int('segment_cache.bitmask')) : undefined;
    const cache = readable(() => this.vmx.addressOf('segment_cache.seg'));
    if (mask === undefined || cache === undefined) return;
    for (const [i, name] of SEGMENTS.entries()) {
      const segment = readable(() => {
        const all = this.vmx.type.require('segment_cache.seg');
        return this.view.struct('kvm_save_segment', cache + BigInt(Math.floor(all.size / SEGMENTS.length) * i));
      });
      if (segment === undefined) return;
      for (const [bit, [member, suffix]] of SEGMENT_VALUES.entries()) {
        if (((mask >>> (i * SEGMENT_VALUES.length + bit)) & 1) === 0) continue;
        this.tell(`GUEST_${name}_${suffix}`, `segment_cache.seg[${i}].${member}`, () => segment.big(member));
      }
    }
  }

  /** What is read whenever the guest is left. */
  ofExit(): void {
    this.vt('VM_EXIT_REASON', 'exit_reason.full', U32);
    this.member('IDT_VECTORING_INFO_FIELD', 'idt_vectoring_info', U32);
  }

  private tell(field: string, from: string, value: () => bigint | undefined, bits?: bigint): void {
    const told = readable(value);
    if (told !== undefined) this.known.set(field, { value: told, from, ...(bits !== undefined && { bits }) });
  }

  /** A member of `vcpu_vmx`. */
  private member(field: string, path: string, mask?: bigint): void {
    this.tell(field, `vcpu_vmx.${path}`, () => (mask === undefined ? this.vmx.big(path) : this.vmx.big(path) & mask));
  }

  /** The same, of the part that VMX and TDX have in common (`vcpu_vt`, since 6.15). */
  private vt(field: string, path: string, mask?: bigint): void {
    this.member(field, this.vmx.has(path) ? path : `vt.${path}`, mask);
  }

  /** A member of `kvm_vcpu_arch`. */
  private cached(field: string, name: string): void {
    this.tell(field, `arch.${name}`, () => this.vcpu.vcpu.big(`arch.${name}`));
  }

  /** A variable of the kernel or of KVM. */
  private variable(field: string, symbol: string, mask?: bigint): void {
    this.tell(field, `the variable ${symbol}`, () => {
      const at = this.view.address(symbol);
      return mask === undefined ? this.view.memory.u64(at) : this.view.memory.u64(at) & mask;
    });
  }

  private control(member: string): number {
    return readable(() => this.loaded.int(`controls_shadow.${member}`)) ?? 0;
  }

  private has(member: string, bit: number): boolean {
    return (this.control(member) & bit) !== 0;
  }

  private secondary(bit: number): boolean {
    return this.has('exec', EXEC_SECONDARY) && this.has('secondary_exec', bit);
  }

  private physical(address: bigint): bigint | undefined {
    const found = address === 0n ? undefined : this.view.memory.translate(address as Struct['address']);
    return found === undefined ? undefined : BigInt(found);
  }

  /** Of the CPU that the VMCS is for (vmx_vcpu_load_vmcs()); where each one's is, is random since 6.2. */
  private entryArea(): Struct | undefined {
    const on = this.loaded.int('cpu');
    const cpu = on >= 0 ? on : this.vcpu.hostCpu;
    if (cpu === undefined) return undefined;
    const random = this.view.kernel.symbols.address('_cea_offset') !== undefined;
    const index = random ? this.view.memory.u32(this.view.perCpu('_cea_offset', cpu)) : cpu;
    const { size } = this.view.types.requireStruct('cpu_entry_area');
    return this.view.struct('cpu_entry_area', CPU_ENTRY_AREAS + BigInt(index) * BigInt(size));
  }
}
