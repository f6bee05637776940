import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type ByteSource, readUpTo } from '../../../bytes/byte-source.js';
import { FileSource } from '../../../bytes/node.js';
import type { FileTree } from '../file-tree.js';

/** The files below a directory. */
export function directoryTree(directory: string): FileTree {
  const place = (path: string) => join(directory, ...path.split('/'));
  return {
    name: directory,
    list: (folder) => attempt(() => readdirSync(place(folder))) ?? [],
    text: (path, limit) => attempt(() => readText(place(path), limit)),
    open: (path) => attempt(() => new ReopenedFile(place(path))),
  };
}

/** What the system refuses counts as not there: of a copy of tracefs much may be missing. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

/** Files of tracefs and /proc say that they are empty: those are read until they end. */
function readText(path: string, limit: number): string | undefined {
  const plain = FileSource.open(path);
  const file = plain.size > 0 ? plain : FileSource.over(path, plain.descriptor, true);
  try {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < limit; ) {
      const piece = readUpTo(file, at, Math.min(1 << 16, limit - at));
      if (piece.length === 0) break;
      pieces.push(piece);
      at += piece.length;
    }
    const decoder = new TextDecoder();
    return pieces.map((piece) => decoder.decode(piece, { stream: true })).join('') + decoder.decode();
  } finally {
    plain.close();
  }
}

/** A file that is opened for each read: a tree may have more of them than a process may have open. */
class ReopenedFile implements ByteSource {
  readonly size: number;

  constructor(readonly name: string) {
    this.size = statSync(name).size;
  }

  read(offset: number, into: Uint8Array): number {
    const file = FileSource.open(this.name);
    try {
      return file.read(offset, into);
    } finally {
      file.close();
    }
  }
}
