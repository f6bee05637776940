import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { readMachineLayout, readSystem } from '../kernel/devices/system.js';
import { clockIfAny } from '../kernel/interrupts/clock.js';
import { requireView } from './kernel-view.js';
import type { MachReport } from './schema/mach.js';
import type { Subject } from './subject.js';
import { cpuCounts } from './sys.js';
import { damageOf, hexOrNull } from './words.js';

/** The machine as its kernel had laid it out. Throws EXH_NO_KERNEL, EXH_NO_LAYOUT. */
export function buildMach(subject: Subject): MachReport {
  const view = requireView(subject);
  const { kernel } = view;
  const found: Damage[] = [];
  const facts = readSystem(view, found);
  const layout = readMachineLayout(view, found);
  const damage = damageOf(subject, found);
  return {
    schema: 'exhume-mach/1',
    complete: damage.length === 0,
    machine: facts.machine || kernel.machine.architecture,
    memory: facts.memory ?? null,
    cpus: cpuCounts(facts),
    megahertz: facts.kilohertz === undefined ? null : Math.floor(facts.kilohertz / 1000),
    hz: clockIfAny(view)?.hz ?? null,
    pageSize: view.memory.physical.pageSize,
    pageTableLevels: kernel.pageTable.levels,
    directMap: hexOrNull(kernel.directMap),
    vmalloc: hexOrNull(layout.vmallocBase),
    vmemmap: hexOrNull(layout.vmemmapBase),
    kernelStart: hexOrNull(kernel.symbols.address('_text') ?? kernel.symbols.address('_stext')),
    kaslrOffset: hexOrNull(kernel.kaslrOffset),
    stackSize: layout.stackSize,
    stacks: [...layout.stacks].flatMap(([cpu, regions]) =>
      regions.map(({ name, start, end }) => ({ cpu, name, start: hex(start), bytes: Number(end - start) })),
    ),
    damage,
  };
}
