import { hex } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import { attempt } from '../../kernel/collect.js';
import type { Evidence } from '../../kernel/kernel.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import type { Task } from '../../kernel/tasks/task.js';
import type { Struct } from '../../kernel/types/struct.js';
import type { Cpu } from '../../machine/machine.js';
import { NestedMemory } from '../control/nested-memory.js';
import type { VmcsLayout } from '../control/vmcs-layout.js';
import type { GuestCpu, GuestParts, Refusal } from '../guest.js';
import { HostSwap } from './host-swap.js';
import { cpuInGuest } from './on-cpu.js';
import { PrivatePages } from './private-pages.js';
import { notedProcess, readVmProcess, type VmProcess } from './process.js';
import { readVcpuRegisters, type VcpuRegisters } from './registers.js';
import { SlotMemory, type SlotRange } from './slot-memory.js';
import { type MemorySlot, readSlots } from './slots.js';
import { filteredOut, survey } from './survey.js';
import { makerOf, readVcpus, type Vcpu } from './vcpus.js';

/** A guest may have more memory than its host, but not so many times more: slots that claim to are not followed. */
const MOST_OVERCOMMIT = 64;

/** What virtual machines are read from. */
export interface VmSurroundings {
  readonly view: KernelView;
  readonly tasks: () => readonly Task[];
  /** All structures that may be virtual CPUs, of any machine. */
  readonly vcpus: () => readonly Struct[];
  /** CPUs whose registers in the dump are not the host's. */
  readonly strangers: readonly Cpu[];
  /** Layouts of VMCSs that the dump states. */
  readonly layouts: readonly VmcsLayout[];
}

/** Reads a virtual machine: its `struct kvm`, the process that ran it, its memory and its CPUs. */
export function readVm(surroundings: VmSurroundings, kvm: Struct, index: number): GuestParts {
  const { view, tasks, layouts } = surroundings;
  const damage: Damage[] = [];
  const evidence: Evidence[] = [];
  const process = attempt(damage, 'process', () => {
    const mm = kvm.follow('mm');
    return mm && readVmProcess(view, mm, tasks(), damage);
  });
  // Machines are made by the first thread of their process.
  const pid = process?.told?.pid ?? makerOf(kvm);
  const processOf = (thread: number) => tasks().find((task) => task.pid === thread)?.tgid;
  const vcpus = readVcpus(view, kvm, pid, { vcpus: surroundings.vcpus, processOf }, damage);
  const type = kvm.has('arch.vm_type')
    ? PROTECTED[attempt(damage, 'type', () => kvm.int('arch.vm_type')) ?? -1]
    : undefined;
  // A TDX guest has neither VMCS nor registers that KVM could know.
  const registers = type === 'TDX' ? [] : vcpus.map((vcpu) => readVcpuRegisters(view, vcpu, layouts, damage));
  const root = registers.find(({ nestedRoot }) => nestedRoot !== undefined)?.nestedRoot;
  const nested = root && new NestedMemory(view.memory.physical, root.root, root.kind, { levels: root.levels });
  const slots = slotMemory(view, kvm, process, damage, evidence);
  const memory = slots ?? nested ?? new SlotMemory(view.memory.physical, [], new HostSwap(view));
  if (slots === undefined && nested !== undefined) {
    const method = `the ${nested.kind} at ${hex(nested.root)}`;
    evidence.push({ question: 'memory', method, answer: 'used', accepted: true });
  }
  const refused = refusalOf(type, vcpus, registers);
  const cpus = vcpus.map((vcpu, i): GuestCpu => {
    const read = registers[i];
    if (read === undefined || refused !== undefined) return encryptedCpu(vcpu);
    return guestCpu(vcpu, read, surroundings, memory, evidence);
  });
  const filtered = filteredOut(memory, view);
  if (filtered !== undefined) damage.push(filtered.damage);
  const told = process?.told ?? notedProcess(pid);
  return {
    name: told?.name ?? (told === undefined ? `guest${index}` : `${told.comm || 'guest'}-${told.pid}`),
    how: 'kvm structures',
    ...(told !== undefined && { process: told }),
    cpus,
    memory,
    ...(slots !== undefined && { survey: () => survey(slots, nested) }),
    ...(refused !== undefined && { refused }),
    ...(filtered?.wholly && { withoutMemory: filtered.damage }),
    evidence,
    damage: folded(damage),
  };
}

/** Of each part the first thing that is broken, and how many more there are: a filtered dump lacks much. */
function folded(damage: readonly Damage[]): Damage[] {
  const parts = new Map<string, { first: Damage; count: number }>();
  for (const one of damage) {
    const key = `${one.code} ${one.part}`;
    const known = parts.get(key);
    if (known === undefined) parts.set(key, { first: one, count: 1 });
    else known.count++;
  }
  return [...parts.values()].map(({ first, count }) =>
    count === 1 ? first : { ...first, message: `${first.message}; and ${count - 1} more like this` },
  );
}

function slotMemory(
  view: KernelView,
  kvm: Struct,
  process: VmProcess | undefined,
  damage: Damage[],
  evidence: Evidence[],
): SlotMemory | undefined {
  const method = "KVM's memory slots";
  const slots = attempt(damage, 'memory slots', () => readSlots(view, kvm, damage)) ?? [];
  const reject = (detail: string): undefined => {
    evidence.push({ question: 'memory', method, answer: undefined, accepted: false, detail });
  };
  if (slots.length === 0) return reject('there are none');
  if (process === undefined) return reject('the page table of the process that they are in cannot be found');
  const { physical } = view.memory;
  const most = (physical.describedBytes() / physical.pageSize) * MOST_OVERCOMMIT;
  let total = 0;
  const ranges: SlotRange[] = [];
  for (const slot of slots) {
    total += slot.pages;
    if (total > most) {
      damage.push({
        code: 'EXH_BAD_STRUCTURE',
        part: 'memory slots',
        message: `they have more than ${MOST_OVERCOMMIT} times the memory of the host: the rest is not followed`,
      });
      break;
    }
    ranges.push(rangeOf(view, kvm, slot, process));
  }
  const pages = ranges.reduce((sum, range) => sum + range.pages, 0);
  evidence.push({ question: 'memory', method, answer: `${ranges.length} slots, ${pages} pages`, accepted: true });
  return new SlotMemory(physical, ranges, new HostSwap(view));
}

function rangeOf(view: KernelView, kvm: Struct, slot: MemorySlot, { pages }: VmProcess): SlotRange {
  const { first, processPage, privateFile } = slot;
  if (privateFile === undefined) return { first, pages: slot.pages, processPage, pagesOf: pages };
  return { first, pages: slot.pages, processPage: first, pagesOf: new PrivatePages(view, kvm, slot, pages) };
}

function guestCpu(
  vcpu: Vcpu,
  read: VcpuRegisters,
  { strangers }: VmSurroundings,
  memory: PhysicalMemory,
  evidence: Evidence[],
): GuestCpu {
  const { index, state, hostCpu, inGuest } = vcpu;
  const found = cpuInGuest({ hostCpu, inGuest, lastCr3: read.lastCr3 }, strangers, memory);
  const base = { index, damage: [] };
  if (found !== undefined) {
    const method = `registers of CPU ${index}`;
    const answer = `note of the host's CPU ${found.cpu.index}`;
    evidence.push({ question: method, method: 'who was on the CPU', answer, accepted: true, detail: found.how });
    const efer = read.registers?.control.get('efer');
    const control = efer === undefined ? found.registers.control : new Map(found.registers.control).set('efer', efer);
    return {
      ...base,
      state: 'running',
      registers: { ...found.registers, control },
      source: `the dump's note of CPU ${found.cpu.index}, which was inside the guest: the host has no registers for it`,
    };
  }
  return {
    ...base,
    state,
    registers: state === 'not started' ? undefined : read.registers,
    source: state === 'not started' ? 'it was never run' : read.source,
    ...(read.stale !== undefined && { stale: read.stale }),
    ...(read.nested !== undefined && { nested: read.nested }),
  };
}

/** `KVM_X86_*_VM`, arch/x86/include/uapi/asm/kvm.h. */
const PROTECTED: Readonly<Record<number, string>> = { 2: 'SEV', 3: 'SEV-ES', 4: 'SEV-SNP', 5: 'TDX' };

function encryptedCpu({ index, state }: Vcpu): GuestCpu {
  return {
    index,
    state,
    registers: undefined,
    source: 'what KVM knows of its registers is not what they are',
    damage: [],
  };
}

function refusalOf(
  type: string | undefined,
  vcpus: readonly Vcpu[],
  registers: readonly VcpuRegisters[],
): Refusal | undefined {
  const byVmcb = registers.find(({ encrypted }) => encrypted !== undefined)?.encrypted;
  const state = vcpus.some(
    ({ vcpu }) =>
      vcpu.has('arch.guest_state_protected') &&
      // A filtered dump may lack it; the VMCB and the machine's own type have the word then.
      (attempt([], 'state', () => vcpu.int('arch.guest_state_protected')) ?? 0) !== 0,
  );
  const how = type ?? byVmcb ?? (state ? 'SEV-ES or TDX' : undefined);
  if (how === undefined) return undefined;
  return {
    code: 'EXH_UNSUPPORTED_FORMAT',
    reason: `it is a confidential guest (${how}): in the host's memory it is encrypted, and only its processor has the key`,
    hint: 'its own kdump, from inside, is the only dump of it',
  };
}
