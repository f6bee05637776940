import { existsSync, readFileSync } from 'node:fs';
import { hex, physicalAddress } from '../bytes/address.js';
import { type Damage, ExhumeError, messageOf } from '../bytes/errors.js';
import type { Container } from '../dump/container.js';
import type { WrittenNote } from '../dump/description.js';
import { statedLayouts, withNotes } from '../hypervisor/control/stated.js';
import { VMCS_BYTES } from '../hypervisor/control/vmcs-layout.js';
import { noteOfMemory, notesOfFile, parseVmcsinfo, VMCSINFO } from '../hypervisor/control/vmcsinfo.js';
import { buildControl } from '../report/control.js';
import { controlText } from '../report/text/control.js';
import { openSources, within } from './open.js';
import type { Answer, SharedOptions } from './session.js';

export interface ControlOptions extends SharedOptions {
  readonly vmcs: string;
  readonly vmcsinfo?: string | undefined;
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
  const dump = withVmcsinfo(within(openSources(files, options).container, options), vmcsinfo);
  const address = addressOf(vmcs);
  const page = dump.memory.bytes(physicalAddress(address), VMCS_BYTES);
  const model = buildControl(page, hex(address), statedLayouts(dump, damage), damage);
  return { model, lines: (text) => controlText(model, text) };
}

/** A dump with the note that `--vmcsinfo` names: a file's, or one at an address and of a size in its memory. */
export function withVmcsinfo(container: Container, vmcsinfo: string | undefined): Container {
  if (vmcsinfo === undefined) return container;
  const [, address, size] = /^(?:0x)?([0-9a-f]+)\s+(?:0x)?([0-9a-f]+)$/i.exec(vmcsinfo) ?? [];
  const inMemory = address !== undefined && size !== undefined && !existsSync(vmcsinfo);
  const notes = inMemory
    ? [noteOfMemory(container.memory, Number.parseInt(address, 16), Number.parseInt(size, 16))]
    : notesFromFile(vmcsinfo);
  return withNotes(container, notes);
}

/** The notes of a file. Throws EXH_IO, EXH_BAD_NOTE. */
export function notesFromFile(path: string): WrittenNote[] {
  return notesOfFile(readFile(path), path);
}

function readFile(path: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    throw new ExhumeError('EXH_IO', `${path}: ${messageOf(error)}`, { file: path }, { cause: error });
  }
}

function addressOf(text: string): number {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) {
    throw new ExhumeError('EXH_USAGE', `${text} is no physical address`, {
      hint: 'exhume guests vmcore --vmcs 0x27c4000, or exhume guests --vmcs FILE for a page in a file',
    });
  }
  return Number(text);
}
