import type { VirtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { attempt, collect } from '../../kernel/collect.js';
import { openFiles } from '../../kernel/filesystems/files.js';
import type { Evidence } from '../../kernel/kernel.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import type { Task } from '../../kernel/tasks/task.js';
import type { StructType } from '../../kernel/types/kernel-types.js';
import { listEntries } from '../../kernel/types/lists.js';
import { Struct } from '../../kernel/types/struct.js';
import { ownerOf } from './vcpus.js';

/** More virtual machines than a host runs. */
const MOST_VMS = 65_536;

/** The `struct kvm` of each virtual machine, the oldest first, and how they were found. */
export interface VmSearch {
  readonly vms: readonly Struct[];
  readonly evidence: readonly Evidence[];
}

/**
 * Finds the virtual machines of KVM: on its list `vm_list` (virt/kvm/kvm_main.c), or where the kernel's symbols do not
 * have that or it is broken, behind the files that processes have open: `anon_inode:kvm-vm` and `anon_inode:kvm-vcpu:N`,
 * whose `private_data` are `struct kvm` and `struct kvm_vcpu`. Throws EXH_NO_LAYOUT without these types.
 * @param tasks asked only where the list is not enough
 * @param vcpus all structures that may be virtual CPUs: the same
 */
export function findVms(
  view: KernelView,
  tasks: () => readonly Task[],
  vcpus: () => readonly Struct[],
  damage: Damage[],
): VmSearch {
  const type = view.types.requireStruct('kvm');
  const head = view.kernel.symbols.address('vm_list');
  const broken: Damage[] = [];
  const listed = head === undefined ? [] : onList(view, head, type, broken);
  damage.push(...broken);
  const counted = (vms: readonly unknown[]) => `${vms.length} virtual machine${vms.length === 1 ? '' : 's'}`;
  const byList: Evidence = {
    question: 'guests',
    method: "KVM's vm_list",
    answer: head === undefined ? undefined : counted(listed),
    accepted: head !== undefined && broken.length === 0,
    ...(head === undefined && {
      detail: 'no symbol vm_list: the module kvm is not loaded, or its symbols are not there',
    }),
    ...(broken[0] !== undefined && { detail: broken[0].message }),
  };
  // New ones are put at the list's front.
  if (byList.accepted) return { vms: listed.reverse(), evidence: [byList] };
  const opened = behindFiles(view, tasks(), damage);
  const known = new Map([...opened, ...listed].map((vm) => [vm.address, vm] as const));
  const pointed = (attempt(damage, 'vCPUs', vcpus) ?? []).flatMap((vcpu) => machineOf(view, vcpu));
  for (const vm of pointed) if (!known.has(vm.address)) known.set(vm.address, vm);
  const vms = [...known.values()];
  const byFiles: Evidence = {
    question: 'guests',
    method: 'open files: kvm-vm and kvm-vcpu',
    answer: counted(opened),
    accepted: opened.length > 0,
  };
  const byVcpus: Evidence = {
    question: 'guests',
    method: "KVM's virtual CPUs",
    answer: counted([...new Set(pointed.map(({ address }) => address))]),
    accepted: pointed.length > 0,
  };
  return { vms, evidence: [byList, byFiles, byVcpus] };
}

/** The list forward, and where it breaks off, from its end back to there. */
function onList(view: KernelView, head: bigint, type: StructType, broken: Damage[]): Struct[] {
  const forward = collect(broken, 'vm_list', listEntries(view.memory, head, type, 'vm_list'), MOST_VMS);
  if (broken.length === 0) return forward;
  const known = new Set(forward.map(({ address }) => address));
  const backward = collect(broken, 'vm_list', listEntries(view.memory, head, type, 'vm_list', 'backward'), MOST_VMS);
  return [...forward, ...backward.filter(({ address }) => !known.has(address)).reverse()];
}

/** The machine that a virtual CPU points to, where that is one still: the place of the CPU may be free, or the machine gone. */
function machineOf(view: KernelView, vcpu: Struct): Struct[] {
  const address = ownerOf(vcpu);
  if (address === undefined || address === 0n) return [];
  const kvm = view.struct('kvm', address);
  const { directMap } = view.kernel;
  const mm = attempt([], 'vCPUs', () => kvm.pointer('mm'));
  return mm === undefined || directMap === undefined || mm < directMap ? [] : [kvm];
}

function behindFiles(view: KernelView, tasks: readonly Task[], damage: Damage[]): Struct[] {
  const type = view.types.requireStruct('kvm');
  const tables = new Set<bigint>();
  const found = new Map<VirtualAddress, Struct>();
  for (const { address, kernelThread, mm, pid } of tasks) {
    if (kernelThread || mm === 0n) continue;
    attempt(damage, `files of task ${pid}`, () => {
      const task = view.struct('task_struct', address);
      const table = task.pointer('files');
      if (table === 0n || tables.has(table)) return;
      // Threads share theirs.
      tables.add(table);
      for (const { file, path } of openFiles(view, task, damage)) {
        const what = /(?:^|[:/])(kvm-vm|kvm-vcpu)(?:$|[:\s])/.exec(path)?.[1];
        const data = what === undefined ? 0n : file.pointer('private_data');
        if (data === 0n) continue;
        const kvm = what === 'kvm-vm' ? data : view.struct('kvm_vcpu', data).pointer('kvm');
        if (!found.has(kvm)) found.set(kvm, new Struct(view.memory, type, kvm));
      }
    });
  }
  return [...found.values()];
}
