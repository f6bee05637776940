import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ioError } from '../bytes/node.js';
import type { PhysicalMemory } from '../dump/memory.js';
import { isFdt } from '../handover/fdt/fdt.js';
import type { Handover } from '../handover/model.js';
import { readHandover } from '../handover/open.js';

/** Of a tree or of what a user describes: more is no such file. */
const LARGEST = 1 << 26;

/** Reads the handovers of files, which were found already, with the memory that their addresses are of. */
export type HandoverFiles = (memory: PhysicalMemory | undefined) => readonly Handover[];

/**
 * The handovers of a file that is a tree, or of a directory as /sys/kernel/debug/kho is one (`in` and `out` with `fdt` and
 * `sub_fdts`), or one of the two. Undefined: the path is neither. Throws EXH_IO; what it gives throws that too, and as
 * `readHandover`.
 */
export function readHandoverFiles(path: string): HandoverFiles | undefined {
  try {
    if (!statSync(path).isDirectory()) {
      if (!isFdt(firstBytes(path))) return undefined;
      return (memory) => [readHandover(fileBytes(path, LARGEST), { memory, blobs: new Map() })];
    }
    const places = [path, join(path, 'in'), join(path, 'out')].filter((one) => existsSync(join(one, 'fdt')));
    if (places.length > 0) return (memory) => places.map((one) => fromDirectory(one, memory));
  } catch (error) {
    throw ioError(path, 'read', error);
  }
  return undefined;
}

function fromDirectory(path: string, memory: PhysicalMemory | undefined): Handover {
  const blobs = new Map<string, Uint8Array>();
  const users = join(path, 'sub_fdts');
  if (existsSync(users)) {
    for (const name of readdirSync(users).sort()) blobs.set(name, fileBytes(join(users, name), LARGEST));
  }
  const direction = /(^|\/)in\/*$/.test(path) ? 'incoming' : /(^|\/)out\/*$/.test(path) ? 'outgoing' : undefined;
  const scratch = scratchOf(path);
  return readHandover(
    fileBytes(join(path, 'fdt'), LARGEST),
    { memory, blobs },
    { direction, address: undefined, scratch, evidence: [`files in ${path}`] },
  );
}

/** `scratch_phys` and `scratch_len`: a number on each line. */
function scratchOf(path: string): { address: number; size: number }[] {
  const numbers = (name: string): number[] => {
    const file = join(path, name);
    if (!existsSync(file)) return [];
    return readFileSync(file, 'utf8')
      .split(/\s+/)
      .filter((word) => word !== '')
      .map(Number)
      .filter(Number.isSafeInteger);
  };
  const sizes = numbers('scratch_len');
  return numbers('scratch_phys').flatMap((address, index) => {
    const size = sizes[index] ?? 0;
    return size > 0 ? [{ address, size }] : [];
  });
}

/** The file may be a dump of any size. */
function firstBytes(path: string): Uint8Array {
  const file = openSync(path, 'r');
  try {
    const bytes = new Uint8Array(4);
    return bytes.subarray(0, readSync(file, bytes));
  } finally {
    closeSync(file);
  }
}

/** Files of debugfs say that they are empty: they are read to their end. Throws EXH_IO. */
function fileBytes(path: string, most: number): Uint8Array {
  try {
    return readFileSync(path).subarray(0, most);
  } catch (error) {
    throw ioError(path, 'read', error);
  }
}
