import type { IpcsReport, SharedMemoryReport } from '../schema/ipcs.js';
import { columns } from './columns.js';
import { digits16 } from './page.js';

/** @param details pages and inodes of shared memory: crash's `ipcs -M` */
export function* ipcsText(
  { sharedMemory, semaphores, messageQueues }: IpcsReport,
  details: boolean,
): Generator<string> {
  const tables: string[][][] = [];
  if (sharedMemory !== null) tables.push([SHARED_HEAD, ...sharedMemory.map(sharedRow)]);
  if (semaphores !== null) {
    tables.push([SEMAPHORE_HEAD, ...semaphores.map((one) => [...commonCells(one), String(one.semaphores)])]);
  }
  if (messageQueues !== null) {
    const cells = messageQueues.map((one) => [...commonCells(one), String(one.usedBytes), String(one.messages)]);
    tables.push([MESSAGE_HEAD, ...cells]);
  }
  for (const [index, table] of tables.entries()) {
    if (index > 0) yield '';
    yield* columns(table);
    if (table.length === 1) yield '(none allocated)';
  }
  if (details) yield* pageLines(sharedMemory ?? []);
}

const SHARED_HEAD = ['SHMID_KERNEL', 'KEY', 'SHMID', 'UID', 'PERMS', 'BYTES', 'NATTCH', 'STATUS'];
const SEMAPHORE_HEAD = ['SEM_ARRAY', 'KEY', 'SEMID', 'UID', 'PERMS', 'NSEMS'];
const MESSAGE_HEAD = ['MSG_QUEUE', 'KEY', 'MSQID', 'UID', 'PERMS', 'USED-BYTES', 'MESSAGES'];

type Common = Pick<SharedMemoryReport, 'address' | 'key' | 'id' | 'uid' | 'permissions'>;

function commonCells({ address, key, id, uid, permissions }: Common): string[] {
  return [digits16(address), key.slice(2).padStart(8, '0'), String(id), String(uid), permissions];
}

function sharedRow(one: SharedMemoryReport): string[] {
  return [...commonCells(one), String(one.size), String(one.attached), one.status.join(', ')];
}

function* pageLines(segments: readonly SharedMemoryReport[]): Generator<string> {
  for (const { id, pages, inode } of segments) {
    yield '';
    yield `SHMID: ${id}`;
    if (pages !== null) yield `PAGES ALLOCATED/RESIDENT/SWAPPED: ${pages.total}/${pages.resident}/${pages.swapped}`;
    if (inode !== null) yield `INODE: ${digits16(inode)}`;
  }
}
