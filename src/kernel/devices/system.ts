import type { Damage } from '../../bytes/errors.js';
import { attempt } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import { cpuRegions, type StackRegion, threadSize } from '../stacks/regions.js';

/** What a kernel knows of the machine that it ran on. What it does not tell is undefined. */
export interface SystemFacts {
  readonly nodeName: string | undefined;
  readonly release: string | undefined;
  readonly version: string | undefined;
  /** `uname -m`. */
  readonly machine: string | undefined;
  readonly presentCpus: number | undefined;
  readonly onlineCpus: number | undefined;
  /** Over 1, 5 and 15 minutes. */
  readonly loadAverage: readonly number[] | undefined;
  /** Of all nodes, in bytes. */
  readonly memory: number | undefined;
  /** `cpu_khz`; x86. */
  readonly kilohertz: number | undefined;
}

/** Bits after the point of `avenrun`: FSHIFT, include/linux/sched/loadavg.h. */
const LOAD_ONE = 2048;
/** MAX_NUMNODES is at most 1024. */
const MOST_NODES = 1024;
/** FIXED_POINT rounding that /proc/loadavg adds. */
const LOAD_HALF = LOAD_ONE / 200;

/** Reads them one by one; what is broken is told as damage. */
export function readSystem(view: KernelView, damage: Damage[]): SystemFacts {
  const name = (field: string): string | undefined =>
    attempt(damage, 'uts namespace', () => view.variable('init_uts_ns', 'uts_namespace').string(`name.${field}`));
  const khz = view.kernel.symbols.address('cpu_khz');
  return {
    nodeName: name('nodename'),
    release: name('release'),
    version: name('version'),
    machine: name('machine'),
    presentCpus: attempt(damage, 'CPU masks', () => view.cpus('present').length),
    onlineCpus: attempt(damage, 'CPU masks', () => view.cpus('online').length),
    loadAverage: attempt(damage, 'load average', () => loadAverage(view)),
    memory: attempt(damage, 'memory nodes', () => presentBytes(view)),
    kilohertz: khz === undefined ? undefined : attempt(damage, 'cpu_khz', () => view.memory.u32(khz)),
  };
}

/** `avenrun`, rounded as /proc/loadavg has it. */
function loadAverage(view: KernelView): number[] {
  const table = view.address('avenrun');
  return [0n, 8n, 16n].map((offset) => {
    const value = Number(view.memory.u64(table + offset)) + LOAD_HALF;
    return Math.floor((value / LOAD_ONE) * 100) / 100;
  });
}

/** `node_present_pages` of every node: `node_data`, or `contig_page_data` without CONFIG_NUMA. */
function presentBytes(view: KernelView): number {
  const { kernel, memory } = view;
  const single = kernel.symbols.address('contig_page_data');
  const pageSize = memory.physical.pageSize;
  if (single !== undefined) return view.struct('pglist_data', single).int('node_present_pages') * pageSize;
  const table = view.address('node_data');
  const count = kernel.symbols.address('nr_node_ids');
  const nodes = count === undefined ? 1 : Math.min(memory.u32(count), MOST_NODES);
  let pages = 0;
  for (let node = 0; node < nodes; node++) {
    const data = memory.pointer(table + BigInt(node * 8));
    if (data !== 0n) pages += view.struct('pglist_data', data).int('node_present_pages');
  }
  return pages * pageSize;
}

/** How a kernel had laid out its addresses and stacks. */
export interface MachineLayout {
  /** THREAD_SIZE in bytes. */
  readonly stackSize: number;
  /** `vmalloc_base` and `vmemmap_base`: x86-64 with CONFIG_RANDOMIZE_MEMORY. */
  readonly vmallocBase: bigint | undefined;
  readonly vmemmapBase: bigint | undefined;
  /** The stacks of each possible CPU besides its tasks'. */
  readonly stacks: ReadonlyMap<number, readonly StackRegion[]>;
}

/** Reads it; what is broken is told as damage. */
export function readMachineLayout(view: KernelView, damage: Damage[]): MachineLayout {
  const variable = (symbol: string): bigint | undefined => {
    const address = view.kernel.symbols.address(symbol);
    return address === undefined ? undefined : attempt(damage, symbol, () => view.memory.pointer(address));
  };
  const cpus = attempt(damage, 'CPU masks', () => view.cpus('possible')) ?? [];
  return {
    stackSize: threadSize(view),
    vmallocBase: variable('vmalloc_base'),
    vmemmapBase: variable('vmemmap_base'),
    stacks: new Map(cpus.map((cpu) => [cpu, cpuRegions(view, cpu)])),
  };
}
