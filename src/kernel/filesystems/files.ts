import type { VirtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { attempt } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import type { Struct } from '../types/struct.js';
import { PathBuilder, type Place, pathText } from './paths.js';

/** What kind of file an inode is, as crash prints it. */
export type FileKind = 'REG' | 'DIR' | 'CHR' | 'BLK' | 'FIFO' | 'SOCK' | 'LNK' | 'UNKN';

/** An open file descriptor. */
export interface OpenFile {
  readonly descriptor: number;
  /** Its `struct file`. */
  readonly file: Struct;
  readonly dentry: VirtualAddress;
  readonly inode: Struct | undefined;
  readonly kind: FileKind;
  /** As the links of /proc/PID/fd have it. */
  readonly path: string;
  /** `f_flags`: O_RDWR and others. */
  readonly flags: number;
  /** `f_pos`, in bytes. */
  readonly position: bigint;
  readonly closeOnExec: boolean;
}

/** `nr_open` cannot be set higher than this (fs/file.c: `sysctl_nr_open_max` on 64 bits is below 2^28). */
const MOST_DESCRIPTORS = 1 << 24;

/** S_IFMT, include/uapi/linux/stat.h. */
const KINDS: Readonly<Record<number, FileKind>> = {
  1: 'FIFO',
  2: 'CHR',
  4: 'DIR',
  6: 'BLK',
  8: 'REG',
  10: 'LNK',
  12: 'SOCK',
};

/** The root directory of a task; undefined for a task that has given its `fs` back. */
export function rootOf(paths: PathBuilder, task: Struct): Place | undefined {
  const fs = task.follow('fs');
  return fs === undefined ? undefined : paths.place(fs, 'root');
}

/** The root and working directories of a task by name; undefined for one that has none any more. */
export function directoriesOf(
  view: KernelView,
  task: Struct,
  damage: Damage[],
): { readonly root: string | undefined; readonly workingDirectory: string | undefined } {
  const paths = new PathBuilder(view);
  const name = (member: string): string | undefined =>
    attempt(damage, `directories of task ${task.int('pid')}`, () => {
      const fs = task.follow('fs');
      const place = fs === undefined ? undefined : paths.place(fs, member);
      return place === undefined ? undefined : pathText(paths.name(place));
    });
  return { root: name('root'), workingDirectory: name('pwd') };
}

/** The files that a task has open, by descriptor; include/linux/fdtable.h. */
export function openFiles(view: KernelView, task: Struct, damage: Damage[]): OpenFile[] {
  const part = `files of task ${task.int('pid')}`;
  const table = attempt(damage, part, () => task.follow('files')?.follow('fdt'));
  if (table === undefined) return [];
  const paths = new PathBuilder(view);
  const type = view.types.requireStruct('file');
  const files: OpenFile[] = [];
  attempt(damage, part, () => {
    const count = Math.min(table.int('max_fds'), MOST_DESCRIPTORS);
    const pointers = table.pointer('fd');
    const open = new Bits(view, table.pointer('open_fds'));
    const closing = new Bits(view, table.pointer('close_on_exec'));
    for (let descriptor = 0; descriptor < count; descriptor++) {
      // A word of descriptors that are all closed costs one read.
      if (descriptor % 64 === 0 && open.word(descriptor) === 0n) {
        descriptor += 63;
        continue;
      }
      if (!open.has(descriptor)) continue;
      attempt(damage, part, () => {
        const address = view.memory.pointer(pointers + BigInt(descriptor * 8));
        // Reserved, and not filled in yet.
        if (address === 0n) return;
        const file = view.struct(type.name, address);
        files.push(readFile(paths, descriptor, file, closing.has(descriptor), damage, part));
      });
    }
  });
  return files;
}

function readFile(
  paths: PathBuilder,
  descriptor: number,
  file: Struct,
  closeOnExec: boolean,
  damage: Damage[],
  part: string,
): OpenFile {
  const inode = file.follow('f_inode');
  const place = paths.place(file, 'f_path');
  const name = place === undefined ? undefined : attempt(damage, part, () => pathText(paths.name(place)));
  return {
    descriptor,
    file,
    dentry: file.pointer('f_path.dentry'),
    inode,
    kind: inode === undefined ? 'UNKN' : kindOf(inode.int('i_mode')),
    path: name ?? '',
    flags: file.int('f_flags'),
    position: file.big('f_pos'),
    closeOnExec,
  };
}

/** The kind in the upper bits of `i_mode`. */
export function kindOf(mode: number): FileKind {
  return KINDS[mode >>> 12] ?? 'UNKN';
}

/** A bitmap in the kernel's memory, read by words of 64 bits. */
class Bits {
  private at = -1;
  private read = 0n;

  constructor(
    private readonly view: KernelView,
    private readonly address: VirtualAddress,
  ) {}

  has(bit: number): boolean {
    return ((this.word(bit) >> BigInt(bit % 64)) & 1n) === 1n;
  }

  /** The word that a bit is in. */
  word(bit: number): bigint {
    const index = Math.floor(bit / 64);
    if (index !== this.at) {
      this.read = this.view.memory.u64(this.address + BigInt(index * 8));
      this.at = index;
    }
    return this.read;
  }
}
