import type { Damage } from '../../bytes/errors.js';
import { attempt } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import { listNodes } from '../types/lists.js';
import { type Counters, readVmStatistics } from './counters.js';
import { perCpuCounterSum } from './per-cpu-counter.js';
import { readSwapAreas } from './swap.js';
import { readZones, type Zone } from './zones.js';

/** Where memory went, as crash's `kmem -i` and /proc/meminfo tell it. Amounts are in pages; undefined is not known. */
export interface MemoryUse {
  readonly pageSize: number;
  readonly total: number | undefined;
  readonly free: number | undefined;
  readonly available: number | undefined;
  readonly buffers: number | undefined;
  readonly cached: number | undefined;
  readonly swapCached: number | undefined;
  readonly shared: number | undefined;
  readonly slab: number | undefined;
  readonly slabReclaimable: number | undefined;
  readonly hugeTotal: number | undefined;
  readonly hugeFree: number | undefined;
  readonly swapTotal: number | undefined;
  readonly swapFree: number | undefined;
  readonly commitLimit: number | undefined;
  readonly committed: number | undefined;
  /** `vm_zone_stat` and `vm_node_stat`. */
  readonly counters: Counters;
}

/** No machine has as many block devices. */
const MOST_INODES = 1 << 20;

/** Reads the counters that `kmem -i` is made of. What cannot be had is undefined, and damage says why. */
export function readMemoryUse(view: KernelView, damage: Damage[]): MemoryUse {
  const part = 'memory counters';
  const { zone, node } = readVmStatistics(view, damage);
  const counters = new Map([...zone, ...node]);
  const get = (name: string): number | undefined => {
    const value = counters.get(name);
    return value === undefined ? undefined : Number(value);
  };
  const pageSize = view.memory.physical.pageSize;
  const total = attempt(damage, part, () => totalPages(view));
  const free = get('NR_FREE_PAGES');
  const buffers = attempt(damage, 'block device pages', () => blockDevicePages(view));
  const swapCached = get('NR_SWAPCACHE');
  const files = get('NR_FILE_PAGES');
  const reclaimable = get('NR_SLAB_RECLAIMABLE_B') ?? get('NR_SLAB_RECLAIMABLE');
  const unreclaimable = get('NR_SLAB_UNRECLAIMABLE_B') ?? get('NR_SLAB_UNRECLAIMABLE');
  const huge = attempt(damage, 'huge pages', () => hugePages(view, pageSize)) ?? { total: undefined, free: undefined };
  const swap = attempt(damage, 'swap', () => swapPages(view, damage)) ?? { total: undefined, free: undefined };
  const zones = readZones(view, damage);
  return {
    pageSize,
    total,
    free,
    available: attempt(damage, part, () => availablePages(view, zones, counters)),
    buffers,
    // Before 5.12 the swap cache is counted in address spaces that a kernel without swap does not have.
    cached: files === undefined ? undefined : Math.max(0, files - (swapCached ?? 0) - (buffers ?? 0)),
    swapCached,
    shared: get('NR_SHMEM'),
    slab: reclaimable === undefined || unreclaimable === undefined ? undefined : reclaimable + unreclaimable,
    slabReclaimable: reclaimable,
    hugeTotal: huge.total,
    hugeFree: huge.free,
    swapTotal: swap.total,
    swapFree: swap.free,
    commitLimit: attempt(damage, part, () => commitLimit(view, total, huge.total, pageSize)),
    committed: attempt(damage, part, () => {
      const counter = view.variable('vm_committed_as', 'percpu_counter');
      return Math.max(0, Number(perCpuCounterSum(view, counter)));
    }),
    counters,
  };
}

function totalPages(view: KernelView): number {
  const symbol = view.kernel.symbols.address('_totalram_pages') === undefined ? 'totalram_pages' : '_totalram_pages';
  return Number(view.memory.u64(view.address(symbol)));
}

/** `nr_blockdev_pages()`: the pages in the caches of block devices. */
function blockDevicePages(view: KernelView): number {
  const { memory, types } = view;
  const superblock = view.struct('super_block', memory.pointer(view.address('blockdev_superblock')));
  const inode = types.requireStruct('inode');
  const link = BigInt(inode.require('i_sb_list').offset);
  const mapping = BigInt(inode.require('i_mapping').offset);
  const pages = BigInt(types.requireStruct('address_space').require('nrpages').offset);
  let sum = 0;
  let seen = 0;
  for (const node of listNodes(memory, superblock.addressOf('s_inodes'))) {
    if (++seen > MOST_INODES) break;
    sum += Number(memory.u64(memory.pointer(node - link + mapping) + pages));
  }
  return sum;
}

/** HUGE_MAX_HSTATE. */
const MOST_HSTATES = 16;

/** All pools of huge pages, counted in ordinary pages. A kernel without hugetlbfs has none. */
function hugePages(view: KernelView, pageSize: number): { total: number; free: number } {
  const pool = { total: 0, free: 0 };
  const states = view.kernel.symbols.address('hstates');
  const count = view.kernel.symbols.address('hugetlb_max_hstate');
  const type = view.types.struct('hstate');
  if (states === undefined || count === undefined || type === undefined) return pool;
  for (let index = 0; index < Math.min(view.memory.u32(count), MOST_HSTATES); index++) {
    const state = view.struct('hstate', states + BigInt(index * type.size));
    const each = 2 ** Math.min(state.int('order'), 32);
    if (each * pageSize > Number.MAX_SAFE_INTEGER) continue;
    pool.total += state.int('nr_huge_pages') * each;
    pool.free += state.int('free_huge_pages') * each;
  }
  return pool;
}

/** `si_swapinfo()`. */
function swapPages(view: KernelView, damage: Damage[]): { total: number; free: number } {
  const total = Number(view.memory.u64(view.address('total_swap_pages')));
  const free = view.kernel.symbols.address('nr_swap_pages');
  if (total === 0) return { total, free: 0 };
  if (free !== undefined) return { total, free: Number(view.memory.i64(free)) };
  return { total, free: total - readSwapAreas(view, damage).reduce((sum, area) => sum + area.used, 0) };
}

/** `vm_commit_limit()`, mm/util.c. */
function commitLimit(
  view: KernelView,
  total: number | undefined,
  huge: number | undefined,
  pageSize: number,
): number | undefined {
  const variable = (...names: string[]): bigint => {
    const name = names.find((one) => view.kernel.symbols.address(one) !== undefined);
    return name === undefined ? 0n : view.address(name);
  };
  const kilobytesAt = variable('sysctl_overcommit_kbytes');
  const ratioAt = variable('sysctl_overcommit_ratio');
  const kilobytes = kilobytesAt === 0n ? 0 : Number(view.memory.u64(kilobytesAt));
  const swap = Number(view.memory.u64(view.address('total_swap_pages')));
  if (kilobytes > 0) return Math.floor((kilobytes * 1024) / pageSize) + swap;
  if (total === undefined || huge === undefined || ratioAt === 0n) return undefined;
  return Math.floor(((total - huge) * view.memory.u32(ratioAt)) / 100) + swap;
}

/** `si_mem_available()`, mm/show_mem.c: what could be had without swapping. */
function availablePages(view: KernelView, zones: readonly Zone[], counters: Counters): number | undefined {
  const get = (name: string): number => Number(counters.get(name) ?? 0n);
  if (!counters.has('NR_FREE_PAGES') || zones.length === 0) return undefined;
  const low = zones.reduce((sum, zone) => sum + zone.watermarks.low, 0);
  const reserve = Number(view.memory.u64(view.address('totalreserve_pages')));
  const cache = get('NR_ACTIVE_FILE') + get('NR_INACTIVE_FILE');
  const reclaimable = get('NR_SLAB_RECLAIMABLE_B') + get('NR_SLAB_RECLAIMABLE') + get('NR_KERNEL_MISC_RECLAIMABLE');
  const available =
    get('NR_FREE_PAGES') -
    reserve +
    (cache - Math.min(Math.floor(cache / 2), low)) +
    (reclaimable - Math.min(Math.floor(reclaimable / 2), low));
  return Math.max(0, available);
}

/** A line of /proc/meminfo. */
export interface MeminfoLine {
  readonly name: string;
  /** In KiB; undefined where the counter is not to be had. */
  readonly kilobytes: number | undefined;
}

/** /proc/meminfo, as far as it is made of counters; fs/proc/meminfo.c. */
export function meminfoLines(use: MemoryUse): MeminfoLine[] {
  const unit = use.pageSize / 1024;
  const kilobytes = (pages: number | undefined): number | undefined => (pages === undefined ? undefined : pages * unit);
  const get = (...names: string[]): number | undefined => {
    const found = names.map((name) => use.counters.get(name)).filter((value) => value !== undefined);
    return found.length < names.length ? undefined : Number(found.reduce((sum, value) => sum + value, 0n));
  };
  const line = (name: string, pages: number | undefined): MeminfoLine => ({ name, kilobytes: kilobytes(pages) });
  return [
    line('MemTotal', use.total),
    line('MemFree', use.free),
    line('MemAvailable', use.available),
    line('Buffers', use.buffers),
    line('Cached', use.cached),
    line('SwapCached', use.swapCached),
    line('Active', get('NR_ACTIVE_ANON', 'NR_ACTIVE_FILE')),
    line('Inactive', get('NR_INACTIVE_ANON', 'NR_INACTIVE_FILE')),
    line('Active(anon)', get('NR_ACTIVE_ANON')),
    line('Inactive(anon)', get('NR_INACTIVE_ANON')),
    line('Active(file)', get('NR_ACTIVE_FILE')),
    line('Inactive(file)', get('NR_INACTIVE_FILE')),
    line('Unevictable', get('NR_UNEVICTABLE')),
    line('Mlocked', get('NR_MLOCK')),
    line('SwapTotal', use.swapTotal),
    line('SwapFree', use.swapFree),
    line('Dirty', get('NR_FILE_DIRTY')),
    line('Writeback', get('NR_WRITEBACK')),
    line('AnonPages', get('NR_ANON_MAPPED')),
    line('Mapped', get('NR_FILE_MAPPED')),
    line('Shmem', use.shared),
    line(
      'KReclaimable',
      use.slabReclaimable === undefined ? undefined : use.slabReclaimable + (get('NR_KERNEL_MISC_RECLAIMABLE') ?? 0),
    ),
    line('Slab', use.slab),
    line('SReclaimable', use.slabReclaimable),
    line(
      'SUnreclaim',
      use.slab === undefined || use.slabReclaimable === undefined ? undefined : use.slab - use.slabReclaimable,
    ),
    { name: 'KernelStack', kilobytes: get('NR_KERNEL_STACK_KB') },
    line('PageTables', get('NR_PAGETABLE')),
    line('CommitLimit', use.commitLimit),
    line('Committed_AS', use.committed),
    line('HugePages', use.hugeTotal),
    line('HugePagesFree', use.hugeFree),
  ];
}
