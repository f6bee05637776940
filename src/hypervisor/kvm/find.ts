import type { Damage } from '../../bytes/errors.js';
import { attempt } from '../../kernel/collect.js';
import { KernelView } from '../../kernel/kernel-view.js';
import type { Task } from '../../kernel/tasks/task.js';
import { readTasks } from '../../kernel/tasks/task-list.js';
import type { Struct } from '../../kernel/types/struct.js';
import type { Findings, Host } from '../find.js';
import type { GuestParts } from '../guest.js';
import { nestedCpus } from '../guest-container.js';
import { cpusNotInHost, hasKvm } from './on-cpu.js';
import { allVcpus } from './vcpus.js';
import { readVm } from './vm.js';
import { hostLayouts } from './vmcs-layouts.js';
import { findVms } from './vms.js';

/** Finds KVM's guests by its structures; undefined where the kernel does not have KVM. */
export function findKvmGuests({ kernel, container }: Host): Findings | undefined {
  if (kernel === undefined || !hasKvm(kernel)) return undefined;
  const damage: Damage[] = [];
  const view = new KernelView(kernel);
  let read: readonly Task[] | undefined;
  const tasks = (): readonly Task[] => {
    read ??= readTasks(view).tasks;
    return read;
  };
  let places: readonly Struct[] | undefined;
  const vcpus = (): readonly Struct[] => {
    places ??= allVcpus(view);
    return places;
  };
  const { vms, evidence } = findVms(view, tasks, vcpus, damage);
  const strangers = vms.length === 0 ? [] : [...nestedCpus(container), ...cpusNotInHost(kernel)];
  const { layouts, evidence: ofLayouts } = hostLayouts(view, vms, container, damage);
  const guests = vms.flatMap((kvm, index): GuestParts[] => {
    const guest = attempt(damage, `guest ${index}`, () =>
      readVm({ view, tasks, vcpus, strangers, layouts }, kvm, index),
    );
    return guest === undefined ? [] : [guest];
  });
  return { guests, evidence: [...evidence, ...ofLayouts], damage };
}
