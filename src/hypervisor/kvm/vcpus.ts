import type { VirtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { attempt, collectEach } from '../../kernel/collect.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { Struct } from '../../kernel/types/struct.js';
import { xarrayEntries } from '../../kernel/types/xarray.js';
import type { GuestCpuState } from '../guest.js';

/** KVM_MAX_VCPUS is 4096 at the most. */
const MOST_VCPUS = 8192;

/** Which hardware KVM drives: told by the types of the module that is loaded. */
export type Vendor = 'svm' | 'vmx';

/** A virtual CPU as KVM has it. */
export interface Vcpu {
  /** Its position, which is the guest's order of CPUs. */
  readonly index: number;
  /** `struct kvm_vcpu`, include/linux/kvm_host.h. */
  readonly vcpu: Struct;
  readonly state: GuestCpuState;
  /** The host's CPU that it is loaded on or was last; undefined: never. */
  readonly hostCpu: number | undefined;
  /** KVM had let it run and not taken it back (`vcpu->mode`): in the guest, or on the way there or back. */
  readonly inGuest: boolean;
}

/** `KVM_MP_STATE_*`, include/uapi/linux/kvm.h. */
const STATES: Readonly<Record<number, GuestCpuState>> = {
  0: 'running',
  1: 'not started',
  2: 'not started',
  3: 'halted',
  4: 'not started',
  5: 'stopped',
};
const IN_GUEST_MODE = 1;
const EXITING_GUEST_MODE = 2;

/** The vCPUs of a virtual machine: an XArray since 5.17, an array before. */
export function readVcpus(view: KernelView, kvm: Struct, damage: Damage[]): Vcpu[] {
  const part = 'vCPUs';
  return collectEach(damage, part, addressesOf(view, kvm), (address) => address, MOST_VCPUS).flatMap(
    (address, index) => {
      const one = attempt(damage, part, () => readVcpu(view, kvm, address, index));
      return one === undefined ? [] : [one];
    },
  );
}

function* addressesOf(view: KernelView, kvm: Struct): Generator<bigint> {
  if (kvm.has('vcpu_array')) {
    for (const { entry } of xarrayEntries(view.memory, view.types, kvm.addressOf('vcpu_array'))) yield entry;
    return;
  }
  const first = kvm.addressOf('vcpus');
  const online = kvm.has('online_vcpus.counter') ? kvm.int('online_vcpus.counter') : kvm.int('online_vcpus');
  for (let i = 0; i < Math.min(online, MOST_VCPUS); i++) {
    const address = view.memory.pointer(first + BigInt(i * 8));
    if (address !== 0n) yield address;
  }
}

function readVcpu(view: KernelView, kvm: Struct, address: bigint, index: number): Vcpu | undefined {
  const vcpu = view.struct('kvm_vcpu', address);
  if (vcpu.pointer('kvm') !== kvm.address) return undefined;
  const mode = vcpu.int('mode');
  const cpu = vcpu.int('cpu');
  // Its first KVM_RUN leaves the pid of the thread that runs it.
  const never = vcpu.has('pid') && vcpu.pointer('pid') === 0n;
  return {
    index,
    vcpu,
    state: never ? 'not started' : (STATES[vcpu.int('arch.mp_state')] ?? 'unknown'),
    hostCpu: cpu < 0 ? undefined : cpu,
    inGuest: mode === IN_GUEST_MODE || mode === EXITING_GUEST_MODE,
  };
}

/** The hardware's own structure around a vCPU, which begins with it; undefined where the types do not tell. */
export function vendorVcpu(view: KernelView, vcpu: Struct): { vendor: Vendor; struct: Struct } | undefined {
  for (const vendor of ['svm', 'vmx'] as const) {
    const type = view.types.struct(`vcpu_${vendor}`);
    if (type !== undefined) return { vendor, struct: new Struct(view.memory, type, vcpu.address as VirtualAddress) };
  }
  return undefined;
}
