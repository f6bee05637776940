import { type ByteSource, readUpTo, SliceSource } from '../../bytes/byte-source.js';
import type { FileTree } from './file-tree.js';

const BLOCK = 512;
/** More than tracefs has, with every instance of it. */
const MOST_FILES = 1 << 20;
const LONGEST_NAME = 1 << 16;

/**
 * The files in a tar archive (POSIX ustar, with GNU's and pax's long names), which is not compressed. Undefined for other files.
 * An archive that is cut off has the files before the cut.
 */
export function tarTree(source: ByteSource): FileTree | undefined {
  const files = new Map<string, ByteSource>();
  const folders = new Map<string, Set<string>>();
  let longName: string | undefined;
  for (let at = 0; files.size < MOST_FILES; ) {
    const header = readUpTo(source, at, BLOCK);
    if (header.length < BLOCK || header.every((byte) => byte === 0)) break;
    if (!isHeader(header)) {
      if (at === 0) return undefined;
      break;
    }
    const size = octal(header, 124, 12);
    const kind = String.fromCharCode(header[156] as number);
    const content = new SliceSource(source, at + BLOCK, size);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    if (kind === 'L' || kind === 'x') {
      const words = textOf(content, LONGEST_NAME);
      longName = kind === 'L' ? words.replace(/\0.*$/s, '') : (/^\d+ path=(.*)$/m.exec(words)?.[1] ?? longName);
      continue;
    }
    const prefix = string(header, 345, 155);
    const plain = string(header, 0, 100);
    const path = normal(longName ?? (prefix === '' || !isUstar(header) ? plain : `${prefix}/${plain}`));
    longName = undefined;
    if (path === '' || !/[0\0]/.test(kind)) continue;
    files.set(path, content);
    enter(folders, path);
  }
  if (files.size === 0) return undefined;
  return {
    name: source.name,
    list: (folder) => [...(folders.get(folder) ?? [])],
    text: (path, limit) => {
      const file = files.get(path);
      return file && textOf(file, limit);
    },
    open: (path) => files.get(path),
  };
}

/** Puts a path into the lists of the folders on its way. */
function enter(folders: Map<string, Set<string>>, path: string): void {
  for (let rest = path; rest !== ''; ) {
    const slash = rest.lastIndexOf('/');
    const folder = slash < 0 ? '' : rest.slice(0, slash);
    const names = folders.get(folder) ?? new Set<string>();
    const known = names.size;
    names.add(rest.slice(slash + 1));
    folders.set(folder, names);
    if (names.size === known) return;
    rest = folder;
  }
}

/** The sum of its bytes, with spaces in the place of the sum. */
function isHeader(header: Uint8Array): boolean {
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i] as number;
  return octal(header, 148, 8) === sum;
}

function isUstar(header: Uint8Array): boolean {
  return string(header, 257, 5) === 'ustar' && header[262] === 0;
}

/** A number in octal digits; what is none, or larger than any file, counts as 0. */
function octal(header: Uint8Array, at: number, length: number): number {
  const value = Number.parseInt(string(header, at, length).trim() || '0', 8);
  return Number.isSafeInteger(value) ? value : 0;
}

function string(header: Uint8Array, at: number, length: number): string {
  return decoder.decode(header.subarray(at, at + length)).replace(/\0.*$/s, '');
}

const decoder = new TextDecoder();

function textOf(source: ByteSource, limit: number): string {
  return decoder.decode(readUpTo(source, 0, limit));
}

/** Without `./` and the like. A path that leads out of the archive is none. */
function normal(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  return parts.includes('..') ? '' : parts.join('/');
}
