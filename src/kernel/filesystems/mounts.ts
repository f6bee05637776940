import type { VirtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { attempt, collectEach } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import { listEntries } from '../types/lists.js';
import { rbtreeEntries } from '../types/rbtree.js';
import type { Struct } from '../types/struct.js';
import { PathBuilder, type Place, pathText } from './paths.js';

/** A mounted file system. */
export interface Mount {
  /** Its `struct mount`. */
  readonly address: VirtualAddress;
  readonly superblock: VirtualAddress;
  readonly id: number;
  readonly parentId: number;
  /** `ext4`, `fuse.sshfs`. */
  readonly type: string;
  /** What was mounted: `/dev/vda1`, `proc`. */
  readonly device: string;
  /** `8:1`. */
  readonly deviceNumber: string;
  /** Where it is mounted, from the root of the namespace. */
  readonly directory: string;
  /** The part of the file system that is mounted there: `/` but for bind mounts. */
  readonly root: string;
  /** Where the task sees it, from its own root directory; undefined for what lies outside of that. */
  readonly seenAt: string | undefined;
  /** The mount's and superblock's flags as /proc/mounts tells them; the file system's own options are not among them. */
  readonly options: readonly string[];
}

/** More than any machine has. */
const MOST_MOUNTS = 1 << 20;

/** `s_flags`: include/linux/fs.h, in the order of `show_sb_opts()` in fs/proc_namespace.c. */
const SUPERBLOCK_OPTIONS: readonly (readonly [bit: number, name: string])[] = [
  [1 << 4, 'sync'],
  [1 << 7, 'dirsync'],
  [1 << 6, 'mand'],
  [1 << 25, 'lazytime'],
];
const SB_RDONLY = 1;

/** `mnt_flags`: include/linux/mount.h, in the order of `show_mnt_opts()`. */
const MOUNT_OPTIONS: readonly (readonly [bit: number, name: string])[] = [
  [0x01, 'nosuid'],
  [0x02, 'nodev'],
  [0x04, 'noexec'],
  [0x08, 'noatime'],
  [0x10, 'nodiratime'],
  [0x20, 'relatime'],
  [0x80, 'nosymfollow'],
];
const MNT_READONLY = 0x40;
/** A reader of /proc/mounts left it in the list (5.8 to 6.7); it is no mount. */
const MNT_CURSOR = 0x10000000;

/**
 * The mounts of a namespace, in the order of /proc/mounts.
 * @param namespace a `struct mnt_namespace`
 * @param root the root directory of the task that they are told for
 */
export function readMounts(view: KernelView, namespace: Struct, root: Place | undefined, damage: Damage[]): Mount[] {
  const paths = new PathBuilder(view);
  const part = 'mounts';
  const entries = attempt(damage, part, () => mountEntries(view, namespace));
  return collectEach(damage, part, entries ?? [], (mount) => readMount(paths, mount, root, damage), MOST_MOUNTS);
}

/** A list through `mnt_list` before 6.8, a tree through `mnt_node` since. */
function mountEntries(view: KernelView, namespace: Struct): Iterable<Struct> {
  const type = view.types.requireStruct('mount');
  if (namespace.has('mounts') && namespace.type.field('list') === undefined) {
    // In a union with mnt_list at first, a member of its own since 6.15.
    return rbtreeEntries(view.memory, namespace.addressOf('mounts'), type, 'mnt_node');
  }
  return listEntries(view.memory, namespace.addressOf('list'), type, 'mnt_list');
}

function readMount(paths: PathBuilder, mount: Struct, root: Place | undefined, damage: Damage[]): Mount | undefined {
  const flags = mount.int('mnt.mnt_flags') >>> 0;
  if (mount.type.field('mnt_node') === undefined && (flags & MNT_CURSOR) !== 0) return undefined;
  const superblock = mount.follow('mnt.mnt_sb');
  const dentry = mount.follow('mnt.mnt_root');
  if (superblock === undefined || dentry === undefined) return undefined;
  const part = 'paths of mounts';
  const name = attempt(damage, part, () => paths.name({ dentry, mount }));
  const seen = attempt(damage, part, () => paths.name({ dentry, mount }, root));
  const inside = attempt(damage, part, () => paths.name({ dentry, mount: undefined }));
  return {
    address: mount.address,
    superblock: superblock.address,
    id: mount.has('mnt_id') ? mount.int('mnt_id') : 0,
    parentId: mount.has('mnt_id') ? mount.int('mnt_parent->mnt_id') : 0,
    type: typeName(superblock),
    device: mount.string('mnt_devname') || 'none',
    deviceNumber: deviceNumber(superblock.int('s_dev')),
    directory: name === undefined ? '?' : pathText(name),
    root: inside === undefined ? '?' : pathText(inside),
    seenAt: seen?.reachable === true ? pathText(seen) : undefined,
    options: optionsOf(superblock, flags),
  };
}

/** `fuse.sshfs`: the type, and the subtype where there is one. */
function typeName(superblock: Struct): string {
  const type = superblock.string('s_type->name', 64);
  const subtype = superblock.has('s_subtype') ? superblock.string('s_subtype', 64) : '';
  return subtype === '' ? type : `${type}.${subtype}`;
}

/** `dev_t` inside the kernel: twelve bits of major, twenty of minor. */
export function deviceNumber(device: number): string {
  return `${device >>> 20}:${device & 0xfffff}`;
}

function optionsOf(superblock: Struct, flags: number): string[] {
  const own = superblock.int('s_flags');
  const readOnly = (flags & MNT_READONLY) !== 0 || (own & SB_RDONLY) !== 0;
  return [
    readOnly ? 'ro' : 'rw',
    ...SUPERBLOCK_OPTIONS.filter(([bit]) => (own & bit) !== 0).map(([, name]) => name),
    ...MOUNT_OPTIONS.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name),
  ];
}
