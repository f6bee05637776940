import { hex, virtualAddress } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { PageArray, type PageDescription } from '../kernel/memory/pages.js';
import { readVmallocAreas, type VmallocArea } from '../kernel/memory/vmalloc.js';
import { threadSize } from '../kernel/stacks/regions.js';
import type { Task } from '../kernel/tasks/task.js';
import { readTasks } from '../kernel/tasks/task-list.js';
import { parseAddress } from './address.js';
import { taskName } from './ps.js';
import type { AddressReport, VmallocAreaReport } from './schema/kmem.js';
import { hexOrNull, symbolOf } from './words.js';

export function vmallocAreas(view: KernelView, damage: Damage[]): VmallocAreaReport[] {
  return readVmallocAreas(view, damage).map((area) => areaReport(view, area));
}

/** What each address is. Throws EXH_USAGE for what is none, EXH_NO_SYMBOL. */
export function describeAddresses(view: KernelView, queries: readonly string[], damage: Damage[]): AddressReport[] {
  if (queries.length === 0) return [];
  const { symbols } = view.kernel;
  const addresses = queries.map((query): bigint => parseAddress(query, symbols));
  const areas = readVmallocAreas(view, damage);
  const pages = attempt(damage, 'struct page', () => new PageArray(view));
  const tasks = attempt(damage, 'tasks', () => readTasks(view).tasks) ?? [];
  const taskSize = view.types.requireStruct('task_struct').size;
  const stackSize = threadSize(view);
  return addresses.map((address) => {
    const within = (start: bigint, size: number): boolean =>
      start !== 0n && address >= start && address < start + BigInt(size);
    const owner = tasks.find((task: Task) => within(task.stack, stackSize));
    const task = owner ?? tasks.find((one: Task) => within(one.address, taskSize));
    const area = areas.find(({ start, end }) => address >= start && address < end);
    const object = pages?.slabObject(address);
    const page = pages && attempt(damage, `page of ${hex(address)}`, () => pageOf(view, pages, address));
    return {
      address: hex(address),
      symbol: symbolOf(view.kernel, address),
      task: task === undefined ? null : taskName(task),
      stack: owner !== undefined,
      object: object === undefined ? null : { ...object, start: hex(object.start) },
      area: area === undefined ? null : areaReport(view, area),
      page: page === undefined ? null : pageReport(page),
    };
  });
}

/** No processor has more bits of physical address; those of the kernel are far above. */
const PHYSICAL = 1n << 52n;

/** The page that an address stands for: a `struct page`, mapped memory, or a physical address. */
function pageOf(view: KernelView, pages: PageArray, address: bigint): PageDescription | undefined {
  const physical =
    address < PHYSICAL
      ? Number(address)
      : (pages.physicalOf(address) ?? pages.ofDirectMap(address) ?? view.memory.translate(virtualAddress(address)));
  return physical === undefined ? undefined : pages.facts(physical);
}

function pageReport({
  address,
  physical,
  flags,
  names,
  mapping,
  index,
  references,
}: PageDescription): AddressReport['page'] {
  return {
    page: hex(address),
    physical: hex(physical),
    mapping: hex(mapping),
    index: hexOrNull(index),
    references,
    flags: hex(flags),
    names: [...names],
  };
}

function areaReport(view: KernelView, { address, vm, start, end, caller }: VmallocArea): VmallocAreaReport {
  return {
    area: hex(address),
    vm: hexOrNull(vm),
    start: hex(start),
    end: hex(end),
    caller: caller === undefined ? null : symbolOf(view.kernel, caller),
  };
}
