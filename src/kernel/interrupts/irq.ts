import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { attempt, collect } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import { mapleRanges } from '../types/maple-tree.js';
import type { Struct } from '../types/struct.js';
import { xarrayEntries } from '../types/xarray.js';

/** An interrupt line: `struct irq_desc`, include/linux/irqdesc.h. */
export interface Interrupt {
  readonly number: number;
  /** Of its `irq_desc`. */
  readonly address: VirtualAddress;
  /** `IO-APIC`, `PCI-MSI`; undefined without a chip. */
  readonly chip: string | undefined;
  /** How it is handled, in the kernel's word: `edge`, `fasteoi`. */
  readonly flow: string | undefined;
  readonly hardwareNumber: bigint;
  /** The CPUs that may take it; undefined where the mask cannot be read. */
  readonly affinity: readonly number[] | undefined;
  /** How often each possible CPU took it. */
  readonly counts: ReadonlyMap<number, number>;
  readonly actions: readonly InterruptAction[];
}

/** Who is called: `struct irqaction`. */
export interface InterruptAction {
  readonly address: VirtualAddress;
  readonly name: string;
  readonly handler: VirtualAddress;
  /** Run in a thread of its own; 0n without one. */
  readonly threadHandler: VirtualAddress;
}

/** More lines than any machine has. */
const MOST_LINES = 1 << 19;
/** Drivers that share a line. */
const MOST_ACTIONS = 256;

/** How many interrupt numbers the kernel has; undefined where it does not tell. */
export function interruptLimit({ kernel, memory }: KernelView): number | undefined {
  const symbol = kernel.symbols.address('total_nr_irqs') ?? kernel.symbols.address('nr_irqs');
  if (symbol === undefined) return undefined;
  const limit = memory.u32(symbol);
  return limit <= MOST_LINES ? limit : undefined;
}

/** The interrupt lines that have a descriptor, ascending. What is broken is told as damage. */
export function readInterrupts(view: KernelView, damage: Damage[]): Interrupt[] {
  const found = collect(damage, 'interrupt descriptors', descriptors(view), MOST_LINES);
  return found.flatMap(({ number, address }) => {
    const line = attempt(damage, `interrupt ${number}`, () => readInterrupt(view, number, address, damage));
    return line === undefined ? [] : [line];
  });
}

/** By what kernels have kept them in: a maple tree (6.5), a radix tree, or an array without CONFIG_SPARSE_IRQ. */
function* descriptors(view: KernelView): Generator<{ readonly number: number; readonly address: VirtualAddress }> {
  const { kernel, memory, types } = view;
  const maple = kernel.symbols.address('sparse_irqs');
  const radix = kernel.symbols.address('irq_desc_tree');
  if (maple !== undefined) {
    for (const { first, entry } of mapleRanges(memory, types, maple)) {
      yield { number: Number(first), address: virtualAddress(entry) };
    }
  } else if (radix !== undefined) {
    for (const { index, entry } of xarrayEntries(memory, types, radix)) {
      yield { number: Number(index), address: virtualAddress(entry) };
    }
  } else {
    const array = view.address('irq_desc');
    const { size } = types.requireStruct('irq_desc');
    for (let number = 0; number < (interruptLimit(view) ?? 0); number++) {
      yield { number, address: virtualAddress(array + BigInt(number * size)) };
    }
  }
}

function readInterrupt(view: KernelView, number: number, address: VirtualAddress, damage: Damage[]): Interrupt {
  const line = view.struct('irq_desc', address);
  const part = `interrupt ${number}`;
  const named = line.int('irq_data.irq');
  if (named !== number) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', 'its descriptor names another number', { address, found: named });
  }
  const chip = line.follow('irq_data.chip');
  return {
    number,
    address,
    chip: chip && attempt(damage, part, () => chip.string('name', 64)),
    flow: attempt(damage, part, () => line.string('name', 64)) || undefined,
    hardwareNumber: line.big('irq_data.hwirq'),
    affinity: attempt(damage, part, () => readMask(view, line, 'irq_common_data.affinity')),
    counts: attempt(damage, part, () => countsOf(view, line)) ?? new Map(),
    actions: collect(damage, part, actionsOf(line), MOST_ACTIONS),
  };
}

/** A `cpumask_var_t`: a pointer with CONFIG_CPUMASK_OFFSTACK, else the mask itself. */
function readMask(view: KernelView, line: Struct, path: string): number[] {
  const inPlace = line.type.require(path).kind === 'array';
  const at = inPlace ? line.addressOf(path) : line.pointer(path);
  const bits = view.memory.bytes(at, Math.ceil(view.cpuCount / 8));
  return Array.from({ length: view.cpuCount }, (_, cpu) => cpu).filter(
    (cpu) => (((bits[cpu >> 3] ?? 0) >> (cpu & 7)) & 1) === 1,
  );
}

/** A per-CPU count: `unsigned int`, or the first member of `struct irqstat` (6.10). */
function countsOf(view: KernelView, line: Struct): Map<number, number> {
  const counts = new Map<number, number>();
  const base = line.pointer('kstat_irqs');
  if (base === 0n) return counts;
  for (const cpu of view.cpus('possible')) counts.set(cpu, view.memory.u32(view.perCpu(base, cpu)));
  return counts;
}

function* actionsOf(line: Struct): Generator<InterruptAction> {
  for (let action = line.follow('action'); action !== undefined; action = action.follow('next')) {
    yield {
      address: action.address,
      name: action.string('name', 64),
      handler: action.pointer('handler'),
      threadHandler: action.pointer('thread_fn'),
    };
  }
}

/** What is run for each kind of softirq: `softirq_vec`, kernel/softirq.c. Throws EXH_NO_SYMBOL, EXH_NO_LAYOUT. */
export function readSoftirqs(view: KernelView): VirtualAddress[] {
  const { size } = view.types.requireStruct('softirq_action');
  const count = Number(view.types.enumerator('NR_SOFTIRQS') ?? 10n);
  const table = view.address('softirq_vec');
  return Array.from({ length: Math.min(count, 64) }, (_, index) => view.memory.pointer(table + BigInt(index * size)));
}
