import { hex, physicalAddress, virtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import type { Machine } from '../../machine/machine.js';
import type { FoundControl, FoundPage } from './scan.js';
import { type Solution, solveVmcs, type VmcsWitness } from './solver.js';
import { fitLayout } from './vmcs-consistency.js';
import { type VmcsLayout, VmcsPage } from './vmcs-layout.js';

const CR3_ADDRESS = 0x000f_ffff_ffff_f000n;
const CR4_LA57 = 0x1000n;

/**
 * The layout of VMCSs out of nothing but pages that look like some. Each must name a page table that maps the host's RIP
 * and RSP.
 */
export function solvePages(pages: readonly FoundPage[], machine: Machine): Solution {
  const sound = pages.flatMap(({ address, bytes }): VmcsWitness[] => {
    const witness = { name: `page ${hex(address)}`, bytes, known: new Map() };
    const { layout } = solveVmcs([witness]);
    return layout !== undefined && isOfHost(bytes, layout, machine) ? [witness] : [];
  });
  const solution = solveVmcs(sound);
  const { layout, witnesses } = solution;
  const fits = layout !== undefined && witnesses.some(({ bytes }) => isOfHost(bytes, layout, machine));
  return fits ? solution : { ...solution, layout: undefined };
}

/** Such pages in a layout that was solved. */
export function inLayout(pages: readonly FoundPage[], layout: VmcsLayout, machine: Machine): FoundControl[] {
  return pages.flatMap(({ address, bytes }): FoundControl[] => {
    if (!isOfHost(bytes, layout, machine)) return [];
    const evidence = ['solved from the pages themselves'];
    return [{ address, bytes, layout: { fit: fitLayout(bytes, layout), evidence } }];
  });
}

/** Does the page keep the rules, and does its host state lead to a stack and to code? */
function isOfHost(bytes: Uint8Array, layout: VmcsLayout, machine: Machine): boolean {
  if (!fitLayout(bytes, layout).possible) return false;
  const page = new VmcsPage(bytes, layout);
  const [root, cr4, rip, rsp] = ['HOST_CR3', 'HOST_CR4', 'HOST_RIP', 'HOST_RSP'].map((name) => page.get(name));
  if (root === undefined || cr4 === undefined || rip === undefined || rsp === undefined) return false;
  try {
    const table = machine.pageTable(physicalAddress(root & CR3_ADDRESS), (cr4 & CR4_LA57) !== 0n ? 5 : 4);
    return [rip, rsp].every((address) => table.translate(virtualAddress(address)) !== undefined);
  } catch (error) {
    if (!isExhumeError(error)) throw error;
    return false;
  }
}
