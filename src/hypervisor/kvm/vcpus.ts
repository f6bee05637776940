import type { VirtualAddress } from '../../bytes/address.js';
import { type Damage, isExhumeError } from '../../bytes/errors.js';
import { attempt, collect } from '../../kernel/collect.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { PageArray } from '../../kernel/memory/pages.js';
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

/**
 * The vCPUs of a virtual machine: an XArray since 5.17, an array before.
 * @param everywhere all structures that may be vCPUs, of this machine or of others: asked only where its own list is broken
 */
export function readVcpus(
  view: KernelView,
  kvm: Struct,
  everywhere: () => readonly Struct[],
  damage: Damage[],
): Vcpu[] {
  const part = 'vCPUs';
  const broken: Damage[] = [];
  const listed = collect(broken, part, addressesOf(view, kvm), MOST_VCPUS);
  const read = (vcpu: Struct, index: number): Vcpu[] => {
    const found: Damage[] = [];
    const one = attempt(found, part, () => readVcpu(kvm, vcpu, index, found));
    damage.push(...found);
    return one === undefined ? [] : [one];
  };
  const own = listed.flatMap((address, index) => read(view.struct('kvm_vcpu', address), index));
  if (broken.length === 0) return own;
  damage.push(...broken);
  const known = new Set(listed);
  const places = attempt(damage, part, everywhere) ?? [];
  const others = places.filter((vcpu) => !known.has(vcpu.address) && isOf(vcpu, kvm)).slice(0, MOST_VCPUS);
  const ordered = others.map((vcpu) => ({ vcpu, number: readable(() => vcpu.int('vcpu_idx')) ?? MOST_VCPUS }));
  ordered.sort((a, b) => a.number - b.number);
  return [...own, ...ordered.flatMap(({ vcpu }, i) => read(vcpu, listed.length + i))];
}

/** Is a vCPU that no list has of this machine? By its pointer to that, or where that is not in the dump by its name. */
function isOf(vcpu: Struct, kvm: Struct): boolean {
  const pointer = readable(() => vcpu.pointer('kvm'));
  if (pointer !== undefined) return pointer === kvm.address;
  const name = readable(() => vcpu.string('stats_id'));
  const machine = statisticsName(kvm);
  return machine !== undefined && name?.startsWith(`${machine}/`) === true;
}

/** `kvm-PID`, which its vCPUs' names begin with; undefined where the kernel has none (since 5.14), or the dump. */
export function statisticsName(kvm: Struct): string | undefined {
  const name = readable(() => kvm.string('stats_id'));
  return name !== undefined && /^kvm-\d+$/.test(name) ? name : undefined;
}

/** What a step reads; undefined where that is not in the dump, or no such member in the kernel. */
export function readable<T>(step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    if (!isExhumeError(error)) throw error;
    return undefined;
  }
}

/** All structures that may be vCPUs: the objects of KVM's own cache of them. */
export function allVcpus(view: KernelView): Struct[] {
  const cache = view.memory.pointer(view.address('kvm_vcpu_cache'));
  const objects = new PageArray(view).objectsOf(view.struct('kmem_cache', cache));
  return Array.from(objects, (address) => view.struct('kvm_vcpu', address));
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

function readVcpu(kvm: Struct, vcpu: Struct, index: number, damage: Damage[]): Vcpu | undefined {
  const part = 'vCPUs';
  const owner = attempt(damage, part, () => vcpu.pointer('kvm'));
  if (owner !== undefined && owner !== kvm.address) return undefined;
  // Parts of it may be missing in a filtered dump: each is asked for by itself, and one word of damage is enough.
  const known = <T>(step: () => T): T | undefined => (damage.length > 0 ? readable(step) : attempt(damage, part, step));
  const mode = known(() => vcpu.int('mode'));
  const cpu = known(() => vcpu.int('cpu')) ?? -1;
  // Its first KVM_RUN leaves the pid of the thread that runs it.
  const never = vcpu.has('pid') && known(() => vcpu.pointer('pid')) === 0n;
  const state = known(() => vcpu.int('arch.mp_state'));
  return {
    index,
    vcpu,
    state: never ? 'not started' : ((state === undefined ? undefined : STATES[state]) ?? 'unknown'),
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
