import { type Damage, ExhumeError } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import { KernelView } from '../kernel/kernel-view.js';
import { readTasks } from '../kernel/tasks/task-list.js';
import { scanForControl } from './control/scan.js';
import { solvePages } from './control/solve-pages.js';
import type { Solution, VmcsWitness } from './control/solver.js';
import type { Host } from './find.js';
import { hasKvm } from './kvm/on-cpu.js';
import { solveHost, vmcsWitnesses } from './kvm/vmcs-layouts.js';
import { findVms } from './kvm/vms.js';

/** A layout that was derived without asking any table, and by what. */
export interface HostSolution extends Solution {
  /** `KVM's structures`, or `the pages alone`. */
  readonly by: string;
  readonly damage: readonly Damage[];
}

/**
 * Derives how a host's processor lays out VMCSs from its vCPUs, as KVM has them; where KVM's structures cannot be followed,
 * from the pages that look like VMCSs. Throws EXH_NO_GUEST where there is neither.
 */
export function solveLayout({ container, machine, kernel }: Host): HostSolution {
  const damage: Damage[] = [];
  const witnesses = attempt(damage, "KVM's structures", (): VmcsWitness[] => {
    if (kernel === undefined || !hasKvm(kernel)) return [];
    const view = new KernelView(kernel);
    return vmcsWitnesses(
      view,
      findVms(
        view,
        () => readTasks(view).tasks,
        () => [],
        damage,
      ).vms,
      damage,
    );
  });
  if (witnesses !== undefined && witnesses.length > 0) {
    return { ...solveHost(witnesses), by: "KVM's structures", damage };
  }
  if (machine === undefined || container.memory.pageSize !== 4096) throw noVmcs();
  const { found, strange } = scanForControl(container.memory);
  const pages = found.filter(({ layout }) => layout !== undefined);
  const solution = solvePages([...pages, ...strange], machine);
  if (solution.witnesses.length === 0) throw noVmcs();
  return { ...solution, by: 'the pages alone', damage };
}

function noVmcs(): ExhumeError {
  return new ExhumeError('EXH_NO_GUEST', 'there is no vCPU with a VMCS to derive a layout from', {
    hint: "a VMCB, which AMD's processors keep, has a layout that is documented: exhume guests --vmcs",
  });
}
