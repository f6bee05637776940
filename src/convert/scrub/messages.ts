import type { KernelView } from '../../kernel/kernel-view.js';
import { listEntries } from '../../kernel/types/lists.js';
import { rbtreeEntries } from '../../kernel/types/rbtree.js';
import type { Struct } from '../../kernel/types/struct.js';
import { containerOf } from '../../kernel/types/struct.js';
import type { Blanking } from './blanking.js';

const KIND = 'messages';
/** A message of the largest size has fewer segments: of a page each. */
const MOST_SEGMENTS = 1 << 20;

/** Messages that wait in queues, of System V (of all namespaces of tasks) and of POSIX; ipc/msgutil.c. */
export function scrubMessages(blanking: Blanking, queues: Iterable<bigint>, files: readonly Struct[]): void {
  const { view } = blanking;
  blanking.count(KIND, 0, 0);
  for (const queue of queues) {
    blanking.attempt(KIND, () => scrubList(blanking, view.struct('msg_queue', queue).addressOf('q_messages')));
  }
  const seen = new Set<bigint>();
  for (const file of files) {
    blanking.attempt(KIND, () => {
      const inode = file.pointer('f_inode');
      if (seen.has(inode)) return;
      seen.add(inode);
      const queue = containerOf(view.memory, view.types.requireStruct('mqueue_inode_info'), 'vfs_inode', inode);
      const node = view.types.requireStruct('posix_msg_tree_node');
      for (const { address } of rbtreeEntries(view.memory, queue.addressOf('msg_tree'), node, 'rb_node')) {
        scrubList(blanking, view.struct(node.name, address).addressOf('msg_list'));
      }
    });
  }
}

function scrubList(blanking: Blanking, head: bigint): void {
  const { view } = blanking;
  for (const message of listEntries(view.memory, head, view.types.requireStruct('msg_msg'), 'm_list')) {
    blanking.attempt(KIND, () => scrubMessage(blanking, view, message));
  }
}

/** The text is behind the heads of the message and of its segments, in blocks of up to a page. */
function scrubMessage(blanking: Blanking, view: KernelView, message: Struct): void {
  const { pageSize } = view.memory.physical;
  let head = message.type.size;
  let address: bigint = message.address;
  let left = message.int('m_ts');
  let next = message.pointer('next');
  for (let count = 0; left > 0 && count < MOST_SEGMENTS; count++) {
    const length = Math.min(left, pageSize - head);
    blanking.buffer(KIND, address + BigInt(head), length);
    left -= length;
    if (next === 0n) return;
    address = next;
    next = view.memory.pointer(address);
    head = view.types.requireStruct('msg_msgseg').size;
  }
}
