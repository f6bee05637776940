import type { KernelView } from '../../kernel/kernel-view.js';
import { rbtreeEntries } from '../../kernel/types/rbtree.js';
import type { Struct } from '../../kernel/types/struct.js';
import type { Blanking } from './blanking.js';

const KIND = 'keys';
/** Types whose payload is a `struct user_key_payload`; security/keys/user_defined.c. */
const USER_TYPES = new Set(['user', 'logon']);
/** Types whose payload is a block of their own with the secret in it. */
const SECRET_TYPES = new Set(['encrypted', 'trusted', 'big_key']);
/** `struct rcu_head` begins the blocks of encrypted and trusted keys. */
const RCU_HEAD = 16n;

/** The payloads of keys that are secrets of users, in the kernel's tree of all keys; include/linux/key.h. */
export function scrubKeys(blanking: Blanking): void {
  const { view } = blanking;
  blanking.count(KIND, 0, 0);
  const tree = view.kernel.symbols.address('key_serial_tree');
  const type = view.types.struct('key');
  if (tree === undefined || type === undefined) return;
  for (const key of rbtreeEntries(view.memory, tree, type, 'serial_node')) {
    blanking.attempt(KIND, () => scrubKey(blanking, view, key));
  }
}

function scrubKey(blanking: Blanking, view: KernelView, key: Struct): void {
  const name = key.follow('type')?.string('name', 64) ?? '';
  const payload = view.memory.pointer(key.addressOf('payload'));
  if (payload === 0n) return;
  if (USER_TYPES.has(name)) {
    const data = view.struct('user_key_payload', payload).addressOf('data');
    blanking.restOfObject(KIND, data, view.struct('user_key_payload', payload).int('datalen'));
  } else if (SECRET_TYPES.has(name)) {
    blanking.restOfObject(KIND, payload + RCU_HEAD, 0);
  }
}
