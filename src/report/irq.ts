import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import { type Interrupt, interruptLimit, readInterrupts, readSoftirqs } from '../kernel/interrupts/irq.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { decodeGates, GATE_BYTES, MOST_GATES } from '../machine/x86-64/descriptor-tables.js';
import { requireView } from './kernel-view.js';
import { requireCpus } from './runq.js';
import type { InterruptReport, IrqReport } from './schema/irq.js';
import type { Subject } from './subject.js';
import { damageOf, symbolOf } from './words.js';

export interface IrqOptions {
  /** Only these interrupts. */
  readonly numbers?: readonly number[] | undefined;
  /** Counts of these CPUs only. */
  readonly cpus?: readonly number[] | undefined;
  readonly softirqs?: boolean | undefined;
  readonly gates?: boolean | undefined;
}

/** The interrupts. Throws EXH_USAGE for a CPU that there is not, EXH_NO_KERNEL, EXH_NO_LAYOUT. */
export function buildIrq(subject: Subject, { numbers, cpus, softirqs, gates }: IrqOptions = {}): IrqReport {
  const view = requireView(subject);
  requireCpus(view, cpus);
  const found: Damage[] = [];
  const interrupts = readInterrupts(view, found)
    .filter(({ number }) => numbers === undefined || numbers.length === 0 || numbers.includes(number))
    .map((one) => interruptReport(view, one, cpus));
  const answer = {
    limit: attempt(found, 'number of interrupts', () => interruptLimit(view)) ?? null,
    interrupts,
    softirqs: softirqs === true ? softirqReports(view, found) : [],
    gates: gates === true ? gateReports(view, found) : [],
  };
  const damage = damageOf(subject, found);
  return { schema: 'exhume-irq/1', complete: damage.length === 0, ...answer, damage };
}

function interruptReport(view: KernelView, line: Interrupt, cpus: readonly number[] | undefined): InterruptReport {
  return {
    irq: line.number,
    address: hex(line.address),
    chip: line.chip ?? null,
    flow: line.flow ?? null,
    hardware: hex(line.hardwareNumber),
    affinity: line.affinity === undefined ? null : [...line.affinity],
    counts: [...line.counts]
      .filter(([cpu]) => cpus === undefined || cpus.includes(cpu))
      .map(([cpu, count]) => ({ cpu, count })),
    actions: line.actions.map(({ address, name, handler, threadHandler }) => ({
      address: hex(address),
      name,
      handler: hex(handler),
      symbol: symbolOf(view.kernel, handler),
      threadHandler: threadHandler === 0n ? null : hex(threadHandler),
      threadSymbol: threadHandler === 0n ? null : symbolOf(view.kernel, threadHandler),
    })),
  };
}

function softirqReports(view: KernelView, damage: Damage[]): IrqReport['softirqs'] {
  const actions = attempt(damage, 'softirqs', () => readSoftirqs(view)) ?? [];
  return actions.map((action, index) => ({ index, action: hex(action), symbol: symbolOf(view.kernel, action) }));
}

function gateReports(view: KernelView, damage: Damage[]): IrqReport['gates'] {
  const gates =
    attempt(damage, 'interrupt descriptor table', () =>
      decodeGates(view.memory.bytes(view.address('idt_table'), MOST_GATES * GATE_BYTES)),
    ) ?? [];
  return gates.map(({ vector, handler, stack, present }) => ({
    vector,
    handler: hex(handler),
    symbol: symbolOf(view.kernel, handler),
    stack,
    present,
  }));
}
