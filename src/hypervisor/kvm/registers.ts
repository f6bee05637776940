import { hex } from '../../bytes/address.js';
import { type Damage, damageOf, ExhumeError } from '../../bytes/errors.js';
import { attempt } from '../../kernel/collect.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import type { Struct } from '../../kernel/types/struct.js';
import { eptRoot } from '../control/nested-memory.js';
import { isVmcb, readVmcb, VMCB_BYTES, type Vmcb } from '../control/vmcb.js';
import { chooseLayout, isEptPointer } from '../control/vmcs-consistency.js';
import { VMCS_BYTES, type VmcsLayout, VmcsPage } from '../control/vmcs-layout.js';
import { vmcsRegisters } from '../control/vmcs-registers.js';
import type { GuestRegisters } from '../guest.js';
import { CachedRegisters, REGS } from './cached-registers.js';
import { type Vcpu, vendorVcpu } from './vcpus.js';

const LACKING =
  "a part of KVM's own structure is not in the host's dump: registers that the hardware's structure does not have are not known";

/** What KVM's structures say of a vCPU. */
export interface VcpuRegisters {
  readonly registers: GuestRegisters | undefined;
  /** What the guest's own guest ran, where it was that that ran. */
  readonly nested: GuestRegisters | undefined;
  /** Where the registers are from, in words. */
  readonly source: string;
  readonly stale: string | undefined;
  /** `cr3` as the hardware's structure has it: the last time that the guest was left. */
  readonly lastCr3: bigint | undefined;
  /** The root of the nested page table, its kind and levels. */
  readonly nestedRoot: { readonly root: number; readonly kind: 'NPT' | 'EPT'; readonly levels: number } | undefined;
  /** Memory or registers are encrypted. */
  readonly encrypted: string | undefined;
}

/** CD and NW of CR0, which KVM does not let the guest have in its VMCB. */
const CR0_CACHE = 0x6000_0000n;
/** Of a VMCB: kept by VMLOAD and VMSAVE, which KVM does on `vmcb01` whatever guest runs. */
const SAVED_SEGMENTS = ['fs', 'gs', 'ldt', 'tr'];
const SAVED_VALUES = [
  'kernel_gs_base',
  'star',
  'lstar',
  'cstar',
  'sfmask',
  'sysenter_cs',
  'sysenter_esp',
  'sysenter_eip',
];
const CONTROL = ['cr0', 'cr2', 'cr3', 'cr4', 'efer', 'kernel_gs_base', 'star', 'lstar', 'cstar', 'sfmask'];

/**
 * The registers of a vCPU: what KVM keeps in `vcpu->arch` over what is in the VMCB or VMCS, and the other way round where
 * `regs_avail` and `regs_dirty` say that the hardware's structure is the newer one.
 */
export function readVcpuRegisters(
  view: KernelView,
  { vcpu, index }: Vcpu,
  layouts: readonly VmcsLayout[],
  damage: Damage[],
): VcpuRegisters {
  const part = `vCPU ${index}`;
  const around = vendorVcpu(view, vcpu);
  const cached = attempt(damage, part, () => new CachedRegisters(view, vcpu));
  if (cached?.missing !== undefined) damage.push(damageOf(part, cached.missing));
  if (around === undefined && cached !== undefined) {
    const address = attempt([], part, () => pointerBehind(view, vcpu));
    if (address !== undefined) return fromSvm(view, { current: address, own: address }, cached);
  }
  if (around === undefined || cached === undefined) {
    return {
      registers: cached && merge(cached.all(), new Map(), []),
      nested: undefined,
      source: 'vcpu->arch alone: the types of kvm_amd or kvm_intel are not in the dump',
      stale: 'segments are not known',
      lastCr3: undefined,
      nestedRoot: undefined,
      encrypted: undefined,
    };
  }
  const { vendor, struct } = around;
  const read =
    vendor === 'svm' ? () => fromSvm(view, vmcbsOf(struct), cached) : () => fromVmx(view, struct, cached, layouts);
  const found = attempt(damage, part, read);
  if (found !== undefined) return found;
  return {
    registers: merge(cached.all(), new Map(), []),
    nested: undefined,
    source: `vcpu->arch alone: the ${vendor === 'svm' ? 'VMCB' : 'VMCS'} cannot be read`,
    stale: 'segments are not known',
    lastCr3: undefined,
    nestedRoot: undefined,
    encrypted: undefined,
  };
}

/** Addresses of a vCPU's VMCBs. */
interface Vmcbs {
  /** The one in use. */
  readonly current: bigint;
  /** The guest's own, which is another one while it runs a guest itself. */
  readonly own: bigint;
}

function vmcbsOf(svm: Struct): Vmcbs {
  const current = svm.pointer('vmcb');
  return { current, own: svm.has('vmcb01.ptr') ? svm.pointer('vmcb01.ptr') : current };
}

/**
 * The VMCB where the type `vcpu_svm` is not in the dump: in every kernel the pointer to it follows the `kvm_vcpu`, and what
 * it points at shows that it is one (arch/x86/kvm/svm/svm.h). Undefined on Intel.
 */
function pointerBehind(view: KernelView, vcpu: Struct): bigint | undefined {
  const address = view.memory.pointer(vcpu.address + BigInt(vcpu.type.size));
  return isVmcb(view.memory.bytes(address, VMCB_BYTES)) ? address : undefined;
}

function fromSvm(view: KernelView, { current, own }: Vmcbs, cached: CachedRegisters): VcpuRegisters {
  // In a guest that runs a guest the current one is vmcb02 (svm_switch_vmcb()).
  const inNested = own !== current;
  const vmcb = readVmcb(view.memory.bytes(own, VMCB_BYTES));
  const running = !inNested ? vmcb : readVmcb(view.memory.bytes(current, VMCB_BYTES));
  const cr0 = (running.registers.control.get('cr0') ?? 0n) & ~CR0_CACHE;
  const values = new Map([...running.registers.general, ...cached.all()]);
  values.set('cr0', cr0 | (cached.get('cr0') & CR0_CACHE));
  values.set('rflags', running.registers.general.get('rflags') ?? 0n);
  // With nested paging the guest loads CR3 as it likes: what KVM has is as old as the last exit that it looked at.
  const lastCr3 = running.registers.control.get('cr3');
  if (running.nestedRoot !== undefined && lastCr3 !== undefined && !cached.changed('cr3')) values.set('cr3', lastCr3);
  const registers = merge(values, savedBy(vmcb, running), segmentsOf(vmcb, running));
  const place = hex(physicalOf(view, current));
  return {
    registers: inNested ? ownOfNested(vmcb) : registers,
    nested: inNested ? registers : undefined,
    source: inNested
      ? `vmcb01 at ${hex(physicalOf(view, own))}: what it ran when it entered its own guest`
      : `vcpu->arch and the VMCB at ${place}`,
    stale: inNested
      ? 'its own guest ran: of the general registers only rax, rsp and rip are its own'
      : cached.lacksGeneral()
        ? LACKING
        : undefined,
    lastCr3,
    nestedRoot:
      vmcb.nestedRoot === undefined ? undefined : { root: vmcb.nestedRoot, kind: 'NPT', levels: cached.levels },
    encrypted: vmcb.encrypted,
  };
}

function physicalOf(view: KernelView, address: bigint): number {
  return view.memory.translate(address as Struct['address']) ?? 0;
}

/** Of a guest that runs a guest: what KVM put aside in `vmcb01` when it entered that (nested_svm_vmrun()). */
function ownOfNested({ registers }: Vmcb): GuestRegisters {
  return merge(registers.general, registers.control, registers.segments);
}

function savedBy(own: Vmcb, running: Vmcb): Map<string, bigint> {
  const values = new Map(running.registers.control);
  for (const name of SAVED_VALUES) {
    const value = own.registers.control.get(name);
    if (value !== undefined) values.set(name, value);
  }
  return values;
}

function segmentsOf(own: Vmcb, running: Vmcb): GuestRegisters['segments'] {
  return running.registers.segments.map((segment) => {
    if (!SAVED_SEGMENTS.includes(segment.name)) return segment;
    return own.registers.segments.find(({ name }) => name === segment.name) ?? segment;
  });
}

function fromVmx(
  view: KernelView,
  vmx: Struct,
  cached: CachedRegisters,
  layouts: readonly VmcsLayout[],
): VcpuRegisters {
  const loaded = vmx.follow('loaded_vmcs');
  if (loaded === undefined) throw new ExhumeError('EXH_BAD_STRUCTURE', 'a vCPU has no VMCS', { address: vmx.address });
  const own = vmx.member('vmcs01');
  // In a guest that runs a guest another one is loaded (vmcs02).
  const inNested = own.address !== loaded.address;
  const running = readVmcs(view, loaded, layouts);
  const values = new Map(cached.all());
  for (const [name, value] of [...running.hardware.general, ...running.hardware.control]) {
    if (name === 'rflags' || name === 'efer' || !cached.has(name)) values.set(name, value);
  }
  const base = ['msr_guest_kernel_gs_base', 'vt.msr_guest_kernel_gs_base'].find((path) => vmx.has(path));
  if (base !== undefined) values.set('kernel_gs_base', vmx.big(base));
  const registers = merge(values, values, running.hardware.segments);
  const first = inNested ? readVmcs(view, own, layouts) : running;
  const ept = first.eptPointer;
  const on = loaded.has('cpu') ? loaded.int('cpu') : -1;
  const stale = cached.lacksGeneral()
    ? LACKING
    : on < 0
      ? undefined
      : `its VMCS was still loaded on CPU ${on}: unless that CPU cleared it, as a panic does, parts are older than the guest`;
  return {
    registers: inNested ? first.hardware : registers,
    nested: inNested ? registers : undefined,
    source: inNested
      ? `vmcs01 at ${first.place}: what it ran when it entered its own guest; layout ${first.layout}`
      : `vcpu->arch and the VMCS at ${first.place}, layout ${first.layout}`,
    stale: inNested ? 'its own guest ran: of the general registers only rsp and rip are its own' : stale,
    lastCr3: running.hardware.control.get('cr3'),
    nestedRoot: ept !== undefined && isEptPointer(ept) ? { ...eptRoot(ept), kind: 'EPT' } : undefined,
    encrypted: undefined,
  };
}

interface ReadVmcs {
  readonly hardware: GuestRegisters;
  readonly place: string;
  readonly layout: string;
  readonly eptPointer: bigint | undefined;
}

/** @param loaded `struct loaded_vmcs` */
function readVmcs(view: KernelView, loaded: Struct, layouts: readonly VmcsLayout[]): ReadVmcs {
  const address = loaded.pointer('vmcs');
  const bytes = view.memory.bytes(address, VMCS_BYTES);
  const chosen = chooseLayout(bytes, layouts);
  if (chosen === undefined) {
    throw new ExhumeError('EXH_NO_LAYOUT', 'the VMCS has no layout that is known', {
      address,
      hint: 'a VMCSINFO note of such a processor tells it: exhume guests --vmcs',
    });
  }
  const { fit } = chosen;
  return {
    hardware: vmcsRegisters(bytes, fit),
    place: hex(physicalOf(view, address)),
    layout: fit.layout.name,
    eptPointer: new VmcsPage(bytes, fit.layout).get('EPT_POINTER'),
  };
}

function merge(
  general: ReadonlyMap<string, bigint>,
  control: ReadonlyMap<string, bigint>,
  segments: GuestRegisters['segments'],
): GuestRegisters {
  const named = new Map<string, bigint>();
  for (const name of ['rip', 'rsp', 'rflags', ...REGS]) {
    const value = general.get(name);
    if (value !== undefined) named.set(name, value);
  }
  const kept = new Map<string, bigint>();
  for (const name of CONTROL) {
    const value = general.get(name) ?? control.get(name);
    if (value !== undefined) kept.set(name, value);
  }
  return { general: named, segments, control: kept };
}
