import type { ByteSource } from '../../bytes/byte-source.js';

/** Files by their paths, as in a directory or an archive of one. Paths have `/` between their parts, and none before. */
export interface FileTree {
  /** What to call it in messages. */
  readonly name: string;
  /** Names of what is in a folder (`''`: in the tree), in no order; empty for a folder that is not there. */
  list(folder: string): readonly string[];
  /** Up to `limit` bytes of a file as text; undefined when there is no such file or it cannot be read. */
  text(path: string, limit: number): string | undefined;
  /** A file to read from; undefined when there is no such file. */
  open(path: string): ByteSource | undefined;
}

/** The tree below a folder of another one. */
export function subtree(tree: FileTree, folder: string): FileTree {
  if (folder === '') return tree;
  const below = (path: string) => (path === '' ? folder : `${folder}/${path}`);
  return {
    name: `${tree.name}/${folder}`,
    list: (path) => tree.list(below(path)),
    text: (path, limit) => tree.text(below(path), limit),
    open: (path) => tree.open(below(path)),
  };
}
