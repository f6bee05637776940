import { ExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import { containerOf, type Struct } from '../types/struct.js';

/** NAME_MAX. */
const LONGEST_NAME = 255;
/** No path is deeper: PATH_MAX holds 2048 names of one letter. */
const DEEPEST = 4096;

/** A place in the tree of mounts: `struct path`. */
export interface Place {
  /** A `struct dentry`. */
  readonly dentry: Struct;
  /** Its `struct mount`; undefined for the kernel's own mounts that are in no tree. */
  readonly mount: Struct | undefined;
}

/** Where a name leads, as `d_path()` tells it (fs/d_path.c). */
export interface PathName {
  readonly path: string;
  /** It was removed while it was in use. */
  readonly deleted: boolean;
  /** The walk up came to the root that it was told from. */
  readonly reachable: boolean;
}

/** Builds the names of dentries as the kernel would. */
export class PathBuilder {
  constructor(private readonly view: KernelView) {}

  /** The place that a `struct path` member of a structure names; undefined when it is empty. */
  place(holder: Struct, path: string): Place | undefined {
    const dentry = holder.follow(`${path}.dentry`);
    if (dentry === undefined) return undefined;
    const mount = holder.pointer(`${path}.mnt`);
    return { dentry, mount: mount === 0n ? undefined : this.mountOf(mount) };
  }

  /** The `struct mount` around a `struct vfsmount`. */
  mountOf(vfsmount: bigint): Struct {
    return containerOf(this.view.memory, this.view.types.requireStruct('mount'), 'mnt', vfsmount);
  }

  /**
   * The name of a place, counted from `root` or, without one, from the root of its mount tree.
   * Throws EXH_BAD_STRUCTURE when the walk up does not come to a root, and memory's errors.
   */
  name(place: Place, root?: Place): PathName {
    const special = this.specialName(place);
    if (special !== undefined) return { ...special, reachable: true };
    const names: string[] = [];
    let { dentry, mount } = place;
    let reachable = root === undefined;
    for (let step = 0; ; step++) {
      if (step > DEEPEST) throw this.endless(dentry);
      if (root !== undefined && same(dentry, root.dentry) && same(mount, root.mount)) {
        reachable = true;
        break;
      }
      if (mount !== undefined && dentry.address === mount.pointer('mnt.mnt_root')) {
        const parent = mount.follow('mnt_parent');
        const at = mount.follow('mnt_mountpoint');
        if (parent === undefined || at === undefined || parent.address === mount.address) break;
        dentry = at;
        mount = parent;
        continue;
      }
      const parent = dentry.follow('d_parent');
      if (parent === undefined || parent.address === dentry.address) break;
      names.push(this.component(dentry));
      dentry = parent;
    }
    const path = `/${names.reverse().join('/')}`;
    return { path, deleted: this.isDeleted(place.dentry), reachable };
  }

  /** A dentry's own name, without those above it. */
  component(dentry: Struct): string {
    return dentry.string('d_name.name', LONGEST_NAME);
  }

  /** `d_unlinked()`: out of its hash list, and no root. */
  private isDeleted(dentry: Struct): boolean {
    return dentry.pointer('d_hash.pprev') === 0n && dentry.pointer('d_parent') !== dentry.address;
  }

  /** Files without a path: what their file system's `d_dname` says. */
  private specialName({ dentry, mount }: Place): { readonly path: string; readonly deleted: boolean } | undefined {
    const inode = dentry.follow('d_inode');
    if (inode === undefined) return undefined;
    const type = inode.string('i_sb->s_type->name', 32);
    const number = (): string => `[${inode.big('i_ino')}]`;
    switch (type) {
      case 'pipefs':
        return { path: `pipe:${number()}`, deleted: false };
      case 'sockfs':
        return { path: `socket:${number()}`, deleted: false };
      case 'anon_inodefs':
        return { path: `anon_inode:${this.component(dentry)}`, deleted: false };
      case 'pidfs':
        return { path: 'anon_inode:[pidfd]', deleted: false };
      case 'nsfs':
        return { path: `${this.namespaceKind(inode)}:${number()}`, deleted: false };
      case 'dmabuf':
        return { path: `/dmabuf:${this.component(dentry)}`, deleted: false };
      default:
        // Made in memory, in no directory: `simple_dname()` (memfd, System V shared memory, shared anonymous memory).
        return mount !== undefined &&
          dentry.pointer('d_parent') === dentry.address &&
          mount.pointer('mnt.mnt_root') !== dentry.address
          ? { path: `/${this.component(dentry)}`, deleted: true }
          : undefined;
    }
  }

  /** `net`, `mnt`, `pid`: the `ns_common` behind an inode of nsfs names its operations. */
  private namespaceKind(inode: Struct): string {
    const common = this.view.types.struct('ns_common');
    const address = inode.pointer('i_private');
    if (common === undefined || address === 0n) return 'ns';
    const name = this.view.struct('ns_common', address);
    return name.has('ops->name') ? name.string('ops->name', 32) : 'ns';
  }

  private endless(dentry: Struct): ExhumeError {
    return new ExhumeError('EXH_BAD_STRUCTURE', 'a path does not come to a root', { address: dentry.address });
  }
}

/** As `ls -l` of /proc/PID/fd prints it: with the mark of a deleted file. */
export function pathText({ path, deleted }: PathName): string {
  return deleted ? `${path} (deleted)` : path;
}

function same(one: Struct | undefined, other: Struct | undefined): boolean {
  return one?.address === other?.address;
}
