import { type Damage, isExhumeError } from '../bytes/errors.js';
import type { PageBitmap } from '../dump/page-bitmap.js';
import { readMessageQueues } from '../kernel/ipc/ipc.js';
import type { Kernel } from '../kernel/kernel.js';
import { KernelView } from '../kernel/kernel-view.js';
import { PAGE_CLASS } from '../kernel/memory/page-classes.js';
import { readTasks } from '../kernel/tasks/task-list.js';
import type { Struct } from '../kernel/types/struct.js';
import { Blanking, type Scrubbed } from './scrub/blanking.js';
import { scrubCpuFreePages, scrubFreeObjects } from './scrub/free-memory.js';
import { scrubKeys } from './scrub/keys.js';
import { scrubMessages } from './scrub/messages.js';
import { type FileKind, openFilesByKind } from './scrub/open-files.js';
import { PageScan } from './scrub/page-scan.js';
import { scrubPipes } from './scrub/pipes.js';
import { SlabObjects } from './scrub/slab-objects.js';
import { scrubPageFragments, scrubSocketBuffers } from './scrub/sockets.js';
import { scrubTerminals } from './scrub/terminals.js';

/** What a dump without the data of users lacks. */
export interface UserScrub {
  /** Pages of these classes are left out: PAGE_CLASS. */
  readonly classes: number;
  /** And these pages. */
  readonly pages: PageBitmap;
  /** What is overwritten by zeros: physical addresses, start and end (first one after) of each span in turn, ascending, disjoint. */
  readonly blank: Float64Array;
  /** How much of each kind, without the pages that `classes` has. */
  readonly list: readonly Scrubbed[];
  /** What may hold data of users and stays, in words. */
  readonly untold: readonly string[];
  readonly damage: readonly Damage[];
}

/** Memory of processes, page cache with and without a filesystem's own data, and what is free. */
export const USER_CLASSES = PAGE_CLASS.cache | PAGE_CLASS.private | PAGE_CLASS.user | PAGE_CLASS.free;

/** What is not told apart from what the kernel needs. */
const STAYS = [
  'names of files, directories, users, processes and network peers',
  'the kernel log',
  'kernel stacks, with the registers of user mode, and the registers in the notes',
  'other buffers of the kernel and its drivers that are in use: of requests on their way, BPF, tracing',
] as const;

/**
 * Finds the data of users: what `--scrub user` leaves out or blanks. What can be told is told by the kernel's own
 * structures; a kind that cannot be followed is damage, and the others go on.
 * Throws EXH_NO_LAYOUT or EXH_NO_SYMBOL for a kernel that does not tell what a page is: then nothing can be scrubbed.
 */
export function scrubUser(kernel: Kernel): UserScrub {
  const view = new KernelView(kernel);
  const damage: Damage[] = [];
  const scan = new PageScan(view);
  const slabs = new SlabObjects(view, damage);
  const blanking = new Blanking(view, slabs, damage);
  const spaces = new AddressSpaces(view);
  blanking.count('file pages on no list', 0, 0);
  for (const { pfn, count, kind, page } of scan.pages()) {
    if (kind === 'slab') slabs.add(pfn, count, page);
    else if (kind === 'compressed') blanking.drop('compressed pages', pfn, count);
    else if (spaces.has(page)) blanking.drop('file pages on no list', pfn, count);
  }
  blanking.attempt('pages on CPU free lists', () => scrubCpuFreePages(blanking));
  blanking.attempt('free slab objects', () => scrubFreeObjects(blanking));
  blanking.attempt('socket buffers', () => scrubSocketBuffers(blanking));
  blanking.attempt('keys', () => scrubKeys(blanking));
  const files = blanking.attempt('open files', () => openFilesByKind(view, slabs));
  const of = (kind: FileKind): readonly Struct[] => files?.get(kind) ?? [];
  blanking.attempt('network page fragments', () => scrubPageFragments(blanking, socketsOf(view, of('socket'))));
  blanking.attempt('pipes', () => scrubPipes(blanking, of('pipe')));
  blanking.attempt('terminals', () => scrubTerminals(blanking, of('terminal')));
  blanking.attempt('messages', () => scrubMessages(blanking, messageQueues(view, damage), of('message queue')));
  const packed = scan.tellsCompressed ? [] : ['pages that zram and zswap keep compressed'];
  return {
    classes: USER_CLASSES,
    pages: blanking.leftOut,
    blank: blanking.blank(),
    list: blanking.list,
    untold: [...STAYS, ...packed],
    damage,
  };
}

/** Is `page.mapping` an address space? One that is, is its inode's own. */
class AddressSpaces {
  private readonly known = new Map<bigint, boolean>();

  constructor(private readonly view: KernelView) {}

  has(page: bigint): boolean {
    const mapping = this.view.struct('page', page).pointer('mapping');
    const known = this.known.get(mapping);
    if (known !== undefined) return known;
    const found = this.judge(mapping);
    this.known.set(mapping, found);
    return found;
  }

  private judge(mapping: bigint): boolean {
    try {
      const inode = this.view.struct('address_space', mapping).follow('host');
      return inode !== undefined && inode.pointer('i_mapping') === mapping;
    } catch (error) {
      if (isExhumeError(error)) return false;
      throw error;
    }
  }
}

function* socketsOf(view: KernelView, files: readonly Struct[]): Generator<Struct> {
  for (const file of files) yield view.struct('socket', file.pointer('private_data'));
}

/** System V message queues of every IPC namespace that a task is in. */
function messageQueues(view: KernelView, damage: Damage[]): Set<bigint> {
  const spaces = new Map<bigint, Struct>();
  for (const { address } of readTasks(view).tasks) {
    const space = view.struct('task_struct', address).follow('nsproxy')?.follow('ipc_ns');
    if (space !== undefined) spaces.set(space.address, space);
  }
  return new Set(
    [...spaces.values()].flatMap((space) => readMessageQueues(view, space, damage)).map(({ address }) => address),
  );
}
