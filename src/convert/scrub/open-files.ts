import { ExhumeError, orUndefined } from '../../bytes/errors.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import type { Struct } from '../../kernel/types/struct.js';
import type { SlabObjects } from './slab-objects.js';

/** What an open file is, by its `f_op`. */
export type FileKind = 'socket' | 'pipe' | 'terminal' | 'message queue';

/** `f_op` by the symbols of kernels' tables of operations. */
const OPERATIONS: Readonly<Record<FileKind, readonly string[]>> = {
  socket: ['socket_file_ops'],
  pipe: ['pipefifo_fops', 'pipeanon_fops'],
  terminal: ['tty_fops', 'console_fops', 'hung_up_tty_fops'],
  'message queue': ['mqueue_file_operations'],
};

/**
 * Every `struct file` of these kinds that is open, also those that no task has in its table: in messages on their way,
 * or of the kernel's own. They are found as objects in use of their cache, which is never merged with another.
 * Throws EXH_NO_SYMBOL when there is no such cache.
 */
export function openFilesByKind(view: KernelView, slabs: SlabObjects): ReadonlyMap<FileKind, readonly Struct[]> {
  const kinds = new Map<bigint, FileKind>();
  for (const kind of Object.keys(OPERATIONS) as FileKind[]) {
    for (const name of OPERATIONS[kind]) {
      const address = view.kernel.symbols.address(name);
      if (address !== undefined) kinds.set(address, kind);
    }
  }
  const cache = slabs.cacheNamed('filp');
  if (cache === undefined) throw new ExhumeError('EXH_NO_SYMBOL', 'there is no slab cache filp', { expected: 'filp' });
  const files = new Map<FileKind, Struct[]>(Object.keys(OPERATIONS).map((kind) => [kind as FileKind, []]));
  for (const address of slabs.inUse(cache)) {
    const file = view.struct('file', address);
    const kind = kinds.get(orUndefined(() => file.pointer('f_op')) ?? 0n);
    if (kind !== undefined) files.get(kind)?.push(file);
  }
  return files;
}
