import type { VirtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { attempt } from '../collect.js';
import type { KernelView } from '../kernel-view.js';

/** Counters by the names of their enumerators: `NR_FREE_PAGES`. */
export type Counters = ReadonlyMap<string, bigint>;

/** More than any of the enumerations has. */
const MOST_COUNTERS = 1024;

/** The counters of the page allocator and reclaim, kernel/vmstat: include/linux/mmzone.h, include/linux/vm_event_item.h. */
export interface VmStatistics {
  /** `vm_zone_stat`, in pages. */
  readonly zone: Counters;
  /** `vm_node_stat`, in pages but for those ending in `_KB`. */
  readonly node: Counters;
  /** `vm_event_states` summed over the CPUs, also those that the panic took offline. */
  readonly events: Counters;
}

/**
 * The counters as the kernel itself would read them: what CPUs have not handed in yet is not added, as neither
 * /proc/meminfo nor crash does (`global_zone_page_state()`).
 */
export function readVmStatistics(view: KernelView, damage: Damage[]): VmStatistics {
  return {
    zone: table(view, damage, 'vm_zone_stat', 'zone_stat_item', 'NR_VM_ZONE_STAT_ITEMS'),
    node: table(view, damage, 'vm_node_stat', 'node_stat_item', 'NR_VM_NODE_STAT_ITEMS'),
    events: eventTable(view, damage),
  };
}

function table(view: KernelView, damage: Damage[], symbol: string, enumeration: string, end: string): Counters {
  return (
    attempt(damage, symbol, () => countersAt(view, view.address(symbol), enumeration, end)) ?? new Map<string, bigint>()
  );
}

/** An array of `atomic_long_t`, one for each enumerator up to the one that counts them. */
export function countersAt(view: KernelView, address: VirtualAddress, enumeration: string, end: string): Counters {
  return new Map(
    enumeratorsOf(view, enumeration, end).map(([name, index]) => [
      name,
      positive(view.memory.i64(address + BigInt(index * 8))),
    ]),
  );
}

function eventTable(view: KernelView, damage: Damage[]): Counters {
  const part = 'vm_event_states';
  const sums = attempt(damage, part, () => {
    const names = enumeratorsOf(view, 'vm_event_item', 'NR_VM_EVENT_ITEMS');
    const bases = view.cpus('possible').map((cpu) => view.perCpu('vm_event_states', cpu));
    return new Map(
      names.map(([name, index]) => [
        name,
        bases.reduce((sum, base) => sum + view.memory.u64(base + BigInt(index * 8)), 0n),
      ]),
    );
  });
  return sums ?? new Map<string, bigint>();
}

/** The enumerators before the one that ends the enumeration, by number; of two with one number the later, which is no `…_BASE`. */
function enumeratorsOf(view: KernelView, enumeration: string, end: string): [name: string, index: number][] {
  const all = view.types.enumeration(enumeration) ?? new Map<string, bigint>();
  const count = Math.min(Number(all.get(end) ?? 0n), MOST_COUNTERS);
  const byIndex = new Map<number, string>();
  for (const [name, value] of all) {
    const index = Number(value);
    if (index >= 0 && index < count) byIndex.set(index, name);
  }
  return [...byIndex].map(([index, name]): [string, number] => [name, index]).sort((one, other) => one[1] - other[1]);
}

/** A counter that CPUs took more from than was handed in yet is told as 0. */
function positive(value: bigint): bigint {
  return value < 0n ? 0n : value;
}
