import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { attempt, collectEach } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import { containerOf, type Struct } from '../types/struct.js';
import { idrEntries } from '../types/xarray.js';

/** What all facilities of System V IPC have: `struct kern_ipc_perm`, include/linux/ipc.h. */
export interface IpcObject {
  readonly address: VirtualAddress;
  readonly key: number;
  readonly id: number;
  readonly uid: number;
  /** The nine permission bits. */
  readonly permissions: number;
}

/** A shared memory segment: `struct shmid_kernel`. */
export interface SharedMemory extends IpcObject {
  /** In bytes. */
  readonly size: number;
  readonly attached: number;
  /** `dest`: to be destroyed at the last detach; `locked`. */
  readonly status: readonly string[];
  readonly inode: VirtualAddress | undefined;
  /** Pages that it takes, and how many of them are in memory and in swap; undefined for huge pages. */
  readonly pages: { readonly total: number; readonly resident: number; readonly swapped: number } | undefined;
}

/** A semaphore array: `struct sem_array`. */
export interface SemaphoreArray extends IpcObject {
  readonly semaphores: number;
}

/** A message queue: `struct msg_queue`. */
export interface MessageQueue extends IpcObject {
  readonly usedBytes: number;
  readonly messages: number;
}

/** IPCMNI_EXTEND: the most identifiers that a namespace can have. */
const MOST_OBJECTS = 1 << 24;
/** Places in `ipc_namespace.ids[]`, ipc/util.h. */
const SEMAPHORES = 0;
const MESSAGES = 1;
const SHARED_MEMORY = 2;

const SHM_DEST = 0o1000;
const SHM_LOCKED = 0o2000;

export function readSharedMemory(view: KernelView, namespace: Struct, damage: Damage[]): SharedMemory[] {
  return objects(view, namespace, SHARED_MEMORY, 'shared memory', damage, (permission) => {
    const segment = containerOf(view.memory, view.types.requireStruct('shmid_kernel'), 'shm_perm', permission.address);
    const mode = permission.int('mode');
    const inode = segment.has('shm_file') ? segment.follow('shm_file')?.follow('f_inode') : undefined;
    const size = segment.int('shm_segsz');
    return {
      ...commonOf(permission, segment),
      size,
      attached: segment.int('shm_nattch'),
      status: [...((mode & SHM_DEST) === 0 ? [] : ['dest']), ...((mode & SHM_LOCKED) === 0 ? [] : ['locked'])],
      inode: inode?.address,
      pages: inode === undefined ? undefined : attempt(damage, 'shared memory', () => pagesOf(view, inode, size)),
    };
  });
}

/** `shm_add_rss_swap()`: a segment is a file in tmpfs. */
function pagesOf(view: KernelView, inode: Struct, size: number): SharedMemory['pages'] {
  const type = view.types.struct('shmem_inode_info');
  if (type === undefined || inode.string('i_sb->s_type->name', 16) !== 'tmpfs') return undefined;
  const shmem = containerOf(view.memory, type, 'vfs_inode', inode.address);
  const pageSize = view.memory.physical.pageSize;
  return {
    total: Math.ceil(size / pageSize),
    resident: Number(inode.big('i_mapping->nrpages')),
    swapped: Number(shmem.big('swapped')),
  };
}

export function readSemaphores(view: KernelView, namespace: Struct, damage: Damage[]): SemaphoreArray[] {
  return objects(view, namespace, SEMAPHORES, 'semaphores', damage, (permission) => {
    const array = containerOf(view.memory, view.types.requireStruct('sem_array'), 'sem_perm', permission.address);
    return { ...commonOf(permission, array), semaphores: array.int('sem_nsems') };
  });
}

export function readMessageQueues(view: KernelView, namespace: Struct, damage: Damage[]): MessageQueue[] {
  return objects(view, namespace, MESSAGES, 'message queues', damage, (permission) => {
    const queue = containerOf(view.memory, view.types.requireStruct('msg_queue'), 'q_perm', permission.address);
    return { ...commonOf(permission, queue), usedBytes: queue.int('q_cbytes'), messages: queue.int('q_qnum') };
  });
}

function commonOf(permission: Struct, object: Struct): IpcObject {
  return {
    address: object.address,
    key: permission.int('key') >>> 0,
    id: permission.int('id'),
    uid: permission.int('uid.val'),
    permissions: permission.int('mode') & 0o777,
  };
}

/** The objects of one of the namespace's identifier tables (`ipc_ids.ipcs_idr`), by identifier. */
function objects<T>(
  view: KernelView,
  namespace: Struct,
  which: number,
  part: string,
  damage: Damage[],
  read: (permission: Struct) => T,
): T[] {
  const entries = attempt(damage, part, () => {
    const ids = view.types.requireStruct('ipc_ids');
    const at = namespace.addressOf('ids') + BigInt(which * ids.size + ids.require('ipcs_idr').offset);
    return idrEntries(view.memory, view.types, at);
  });
  return collectEach(
    damage,
    part,
    entries ?? [],
    ({ entry }) => read(view.struct('kern_ipc_perm', virtualAddress(entry))),
    MOST_OBJECTS,
  );
}
