import { hex, physicalAddress } from '../bytes/address.js';
import { type Damage, ExhumeError } from '../bytes/errors.js';
import { statedLayouts } from '../hypervisor/control/stated.js';
import { VMCS_BYTES } from '../hypervisor/control/vmcs-layout.js';
import { parseVmcsinfo, VMCSINFO } from '../hypervisor/control/vmcsinfo.js';
import { buildControl } from '../report/control.js';
import { controlText } from '../report/text/control.js';
import { openSources, within } from './open.js';
import type { Answer, SharedOptions } from './session.js';
import { notesFromFile, readFile } from './vmcsinfo.js';

export interface ControlOptions extends SharedOptions {
  readonly vmcs: string;
}

/** `exhume guests --vmcs`: a control structure out of a dump, or a file that holds its page. */
export function controlAnswer(files: readonly string[], options: ControlOptions): Answer {
  const damage: Damage[] = [];
  const { vmcs, vmcsinfo } = options;
  if (files.length === 0) {
    const notes = vmcsinfo === undefined ? [] : notesFromFile(vmcsinfo);
    const stated = notes
      .filter(({ name }) => name === VMCSINFO)
      .map(({ description }) => parseVmcsinfo(description, vmcsinfo ?? VMCSINFO).layout);
    const model = buildControl(readFile(vmcs), vmcs, stated, damage);
    return { model, lines: (text) => controlText(model, text) };
  }
  const dump = within(openSources(files, options).container, options);
  const address = addressOf(vmcs);
  const page = dump.memory.bytes(physicalAddress(address), VMCS_BYTES);
  const model = buildControl(page, hex(address), statedLayouts(dump, damage), damage);
  return { model, lines: (text) => controlText(model, text) };
}

function addressOf(text: string): number {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) {
    throw new ExhumeError('EXH_USAGE', `${text} is no physical address`, {
      hint: 'exhume guests vmcore --vmcs 0x27c4000, or exhume guests --vmcs FILE for a page in a file',
    });
  }
  return Number(text);
}
