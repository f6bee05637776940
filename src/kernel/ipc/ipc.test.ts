import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Damage } from '../../bytes/errors.js';
import { damagedView } from '../../testing/damaged-view.js';
import { openSample } from '../../testing/sample.js';
import { KernelView } from '../kernel-view.js';
import type { Struct } from '../types/struct.js';
import { readMessageQueues, readSemaphores, readSharedMemory } from './ipc.js';

function namespace(view: KernelView): Struct {
  return view.variable('init_ipc_ns', 'ipc_namespace');
}

/** Makes an object the only one of a table: an IDR with one entry holds it in its head. */
function put({ view, write }: ReturnType<typeof damagedView>, table: number, permission: bigint): void {
  const ids = view.types.requireStruct('ipc_ids');
  const head = ids.require('ipcs_idr.idr_rt.xa_head').offset;
  write(namespace(view).addressOf('ids') + BigInt(table * ids.size + head), permission);
}

test('a kernel without System V IPC in use has none', () => {
  const view = new KernelView(openSample().kernel);
  const damage: Damage[] = [];
  assert.deepEqual(readSharedMemory(view, namespace(view), damage), []);
  assert.deepEqual(readSemaphores(view, namespace(view), damage), []);
  assert.deepEqual(readMessageQueues(view, namespace(view), damage), []);
  assert.deepEqual(damage, []);
});

test('objects are told as ipcs does', () => {
  const damaged = damagedView();
  const { view, make, set } = damaged;
  const common = (object: Struct, permission: string): void => {
    set(object, `${permission}.key`, 0x1234);
    set(object, `${permission}.id`, 98304);
    set(object, `${permission}.uid.val`, 1000);
    set(object, `${permission}.mode`, 0o3640);
  };
  const segment = make('shmid_kernel');
  common(segment, 'shm_perm');
  set(segment, 'shm_segsz', 90000);
  set(segment, 'shm_nattch', 3);
  put(damaged, 2, segment.addressOf('shm_perm'));
  const array = make('sem_array');
  common(array, 'sem_perm');
  set(array, 'sem_nsems', 5);
  put(damaged, 0, array.addressOf('sem_perm'));
  const queue = make('msg_queue');
  common(queue, 'q_perm');
  set(queue, 'q_cbytes', 150);
  set(queue, 'q_qnum', 2);
  put(damaged, 1, queue.addressOf('q_perm'));
  const damage: Damage[] = [];
  const shared = { key: 0x1234, id: 98304, uid: 1000, permissions: 0o640 };
  assert.deepEqual(readSharedMemory(view, namespace(view), damage), [
    {
      address: segment.address,
      ...shared,
      size: 90000,
      attached: 3,
      status: ['dest', 'locked'],
      inode: undefined,
      pages: undefined,
    },
  ]);
  assert.deepEqual(readSemaphores(view, namespace(view), damage), [
    { address: array.address, ...shared, semaphores: 5 },
  ]);
  assert.deepEqual(readMessageQueues(view, namespace(view), damage), [
    { address: queue.address, ...shared, usedBytes: 150, messages: 2 },
  ]);
  assert.deepEqual(damage, []);
});

test('an object that is not there is damage of its own table', () => {
  const damaged = damagedView();
  put(damaged, 1, 0xffff_8880_dead_0000n);
  const { view } = damaged;
  const damage: Damage[] = [];
  assert.deepEqual(readMessageQueues(view, namespace(view), damage), []);
  assert.deepEqual(readSemaphores(view, namespace(view), damage), []);
  assert.deepEqual(
    damage.map(({ part }) => part),
    ['message queues'],
  );
});
