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

/** Where to look for vCPUs when a machine's own list of them is broken. */
export interface Elsewhere {
  /** All structures that may be vCPUs, of this machine or of others. */
  readonly vcpus: () => readonly Struct[];
  /** The process that a thread is of; undefined where it is not known. */
  readonly processOf: (thread: number) => number | undefined;
}

/**
 * The vCPUs of a virtual machine: an XArray since 5.17, an array before.
 * @param pid the process that made the machine, where that is known
 * @param elsewhere asked only where its own list is broken
 */
export function readVcpus(
  view: KernelView,
  kvm: Struct,
  pid: number | undefined,
  elsewhere: Elsewhere | undefined,
  damage: Damage[],
): Vcpu[] {
  const part = 'vCPUs';
  const broken: Damage[] = [];
  const listed = collect(broken, part, addressesOf(view, kvm), MOST_VCPUS).map((one) => view.struct('kvm_vcpu', one));
  const read = (vcpu: Struct, index: number): Vcpu[] => {
    const found: Damage[] = [];
    const one = attempt(found, part, () => readVcpu(kvm, vcpu, index, found));
    damage.push(...found);
    return one === undefined ? [] : [one];
  };
  const own = listed.flatMap(read);
  damage.push(...broken);
  if (broken.length === 0 || elsewhere === undefined) return own;
  const addresses = new Set(listed.map(({ address }) => address));
  const places = (attempt(damage, part, elsewhere.vcpus) ?? []).filter(({ address }) => !addresses.has(address));
  const pointing = places.filter((vcpu) => ownerOf(vcpu) === kvm.address);
  // Where the pointer to the machine is not in the dump the name tells whose it is: it has the thread that runs it.
  const named = places.filter((vcpu) => {
    const thread = ownerOf(vcpu) === undefined ? makerOf(vcpu) : undefined;
    return thread !== undefined && pid !== undefined && elsewhere.processOf(thread) === pid;
  });
  const others = [...pointing, ...named].slice(0, MOST_VCPUS);
  const ordered = others.map((vcpu) => ({ vcpu, number: readable(() => vcpu.int('vcpu_idx')) ?? MOST_VCPUS }));
  ordered.sort((a, b) => a.number - b.number);
  return [...own, ...ordered.flatMap(({ vcpu }, i) => read(vcpu, listed.length + i))];
}

/** The machine that a vCPU points to; undefined where that is not in the dump. */
export function ownerOf(vcpu: Struct): bigint | undefined {
  return readable(() => vcpu.pointer('kvm'));
}

/**
 * The thread that made a machine or vCPU, by the name of its statistics: `kvm-PID` or `kvm-PID/vcpu-N`. Undefined where the
 * kernel has none (before 5.14), or the dump.
 */
export function makerOf(struct: Struct): number | undefined {
  const name = readable(() => struct.string('stats_id'));
  const pid = /^kvm-(\d+)(?:$|\/)/.exec(name ?? '')?.[1];
  return pid === undefined ? undefined : Number(pid);
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
