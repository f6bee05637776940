import { hex } from '../../bytes/address.js';
import { type Damage, damageOf } from '../../bytes/errors.js';
import type { Container } from '../../dump/container.js';
import { attempt } from '../../kernel/collect.js';
import type { Evidence } from '../../kernel/kernel.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { readModules } from '../../kernel/modules.js';
import type { Struct } from '../../kernel/types/struct.js';
import { findVmcsinfo } from '../control/scan.js';
import { type Solution, solveVmcs, type VmcsWitness } from '../control/solver.js';
import { statedLayouts } from '../control/stated.js';
import { chooseLayout, fitLayout } from '../control/vmcs-consistency.js';
import type { VmcsLayout } from '../control/vmcs-layout.js';
import { NOTE_BYTES, type Vmcsinfo, vmcsinfoAt } from '../control/vmcsinfo.js';
import { readVcpus } from './vcpus.js';
import { vmcsWitness } from './vmcs-witness.js';

/** Layouts that go before the known ones, and where they are from. */
export interface HostLayouts {
  readonly layouts: readonly VmcsLayout[];
  readonly evidence: readonly Evidence[];
}

/** The module that keeps a note in memory (`drivers/vmcsinfo`), and its variable that points there. */
const MODULE = 'vmcsinfo';
const NOTE = 'note';

/**
 * How the host's processor lays out VMCSs, where that is not for the table to say: what a note of the dump states, else the
 * note of the module `vmcsinfo` in the host's memory. Where no layout fits, neither such a one nor the table's, memory is
 * searched for a note, and last the layout is solved from the host's own structures.
 */
export function hostLayouts(
  view: KernelView,
  vms: readonly Struct[],
  container: Container,
  damage: Damage[],
): HostLayouts {
  const evidence: Evidence[] = [];
  const layouts: VmcsLayout[] = [];
  const take = (method: string, more: readonly VmcsLayout[], detail?: string): void => {
    const accepted = more.length > 0;
    const answer = accepted ? more.map(inWords).join('; ') : undefined;
    evidence.push({ question: 'VMCS layout', method, answer, accepted, ...(detail !== undefined && { detail }) });
    layouts.push(...more);
  };
  const stated = statedLayouts(container, damage);
  if (stated.length > 0) take('VMCSINFO note', stated);
  if (view.types.struct('vcpu_vmx') === undefined) return { layouts, evidence };
  const kept = stated.length > 0 ? undefined : moduleNotes(view, damage);
  if (kept !== undefined) take('the note of the module vmcsinfo', layoutsOf(kept, damage), kept[0]?.layout.source);
  // What is broken is told where the guests are read.
  const witnesses = vmcsWitnesses(view, vms, []);
  const fits = (): boolean => witnesses.some(({ bytes }) => chooseLayout(bytes, layouts) !== undefined);
  if (witnesses.length === 0 || fits()) return { layouts, evidence };
  take('the known layouts', [], `none fits the VMCSs of ${witnesses.length} vCPUs`);
  if (layouts.length === 0) {
    take('a VMCSINFO note in memory', layoutsOf(findVmcsinfo(view.memory.physical), damage));
    if (layouts.length > 0 && fits()) return { layouts, evidence };
  }
  const { layout } = solveHost(witnesses);
  const detail = layout === undefined ? 'not even RIP and CR3 are found' : 'in full: exhume guests --solve';
  take("solved from KVM's structures and the VMCSs", layout === undefined ? [] : [layout], detail);
  return { layouts, evidence };
}

function layoutsOf(notes: readonly Vmcsinfo[], damage: Damage[]): VmcsLayout[] {
  for (const note of notes) damage.push(...note.damage);
  return notes.map(({ layout }) => layout);
}

function inWords({ name, offsets, revisions }: VmcsLayout): string {
  return `${name}: ${offsets.size} fields, revision ${revisions.map(hex).join(', ')}`;
}

/** Every vCPU of the host with what is known of its VMCS; empty where it has none. */
export function vmcsWitnesses(view: KernelView, vms: readonly Struct[], damage: Damage[]): VmcsWitness[] {
  return vms.flatMap((kvm, index) => {
    const vcpus = attempt(damage, `guest ${index}`, () => readVcpus(view, kvm, undefined, undefined, damage)) ?? [];
    // What was never run has a VMCS that is not filled in.
    const ran = vcpus.filter(({ state }) => state !== 'not started');
    return ran.flatMap((vcpu) => vmcsWitness(view, vcpu, `guest ${index}, CPU ${vcpu.index}`) ?? []);
  });
}

/**
 * The layout that all vCPUs together tell. What KVM has may be older than the page, or newer: where it leads nowhere, the
 * pages alone are asked.
 */
export function solveHost(witnesses: readonly VmcsWitness[]): Solution {
  const solved = solveVmcs(witnesses);
  const { layout } = solved;
  if (layout !== undefined && solved.witnesses.some(({ bytes }) => fitLayout(bytes, layout).possible)) return solved;
  const bare = solveVmcs(witnesses.map(({ name, bytes }) => ({ name, bytes, known: new Map() })));
  const alone = bare.layout;
  const fits = alone !== undefined && bare.witnesses.some(({ bytes }) => fitLayout(bytes, alone).possible);
  return fits ? bare : { ...solved, layout: undefined };
}

/** What the module keeps; undefined where it is not loaded. */
function moduleNotes(view: KernelView, damage: Damage[]): Vmcsinfo[] | undefined {
  const { kernel, memory } = view;
  const symbol = kernel.symbols.findAll(NOTE).find(({ module }) => module === MODULE);
  if (symbol === undefined) {
    return readModules(kernel, []).some(({ name }) => name === MODULE) ? findVmcsinfo(memory.physical) : undefined;
  }
  try {
    const address = memory.translate(memory.pointer(symbol.address));
    return address === undefined ? [] : [vmcsinfoAt(memory.physical, address, NOTE_BYTES)];
  } catch (error) {
    damage.push(damageOf('the note of the module vmcsinfo', error));
    return [];
  }
}
