import { existsSync, readFileSync } from 'node:fs';
import { ExhumeError, messageOf } from '../bytes/errors.js';
import type { Container } from '../dump/container.js';
import type { WrittenNote } from '../dump/description.js';
import { noteOfMemory, notesOfFile } from '../hypervisor/control/vmcsinfo.js';

/**
 * The notes that `--vmcsinfo` names: a file's, or one at an address and of a size in the dump's memory.
 * Throws EXH_IO, EXH_BAD_NOTE, and the errors of reading memory.
 */
export function notesOfOption({ memory }: Pick<Container, 'memory'>, vmcsinfo: string | undefined): WrittenNote[] {
  if (vmcsinfo === undefined) return [];
  const [, address, size] = /^(?:0x)?([0-9a-f]+)\s+(?:0x)?([0-9a-f]+)$/i.exec(vmcsinfo) ?? [];
  const inMemory = address !== undefined && size !== undefined && !existsSync(vmcsinfo);
  return inMemory
    ? [noteOfMemory(memory, Number.parseInt(address, 16), Number.parseInt(size, 16))]
    : notesFromFile(vmcsinfo);
}

/** The notes of a file. Throws EXH_IO, EXH_BAD_NOTE. */
export function notesFromFile(path: string): WrittenNote[] {
  return notesOfFile(readFile(path), path);
}

/** A file's bytes. Throws EXH_IO. */
export function readFile(path: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    throw new ExhumeError('EXH_IO', `${path}: ${messageOf(error)}`, { file: path }, { cause: error });
  }
}
