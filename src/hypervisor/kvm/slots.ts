import { type Damage, ExhumeError, isExhumeError } from '../../bytes/errors.js';
import { collect, collectEach } from '../../kernel/collect.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { hlistNodes } from '../../kernel/types/lists.js';
import { rbtreeNodes } from '../../kernel/types/rbtree.js';
import { Struct } from '../../kernel/types/struct.js';

/** A part of a guest's memory and where its host keeps it: `struct kvm_memory_slot`, include/linux/kvm_host.h. */
export interface MemorySlot {
  readonly id: number;
  /** The guest's first page frame, and how many. */
  readonly first: number;
  readonly pages: number;
  /** Virtual address in the process that runs the guest, divided by 4096. */
  readonly processPage: number;
  readonly readOnly: boolean;
  /** Pages that the guest made private are in a file of its own (`guest_memfd`). */
  readonly privateFile: { readonly mapping: bigint /** In pages. */; readonly offset: number } | undefined;
}

/** KVM_USER_MEM_SLOTS is 32764. */
const MOST_SLOTS = 32_768;
/** KVM_MEM_MAX_NR_PAGES is 2^31 - 1. */
const MOST_PAGES = 2 ** 31;
const KVM_MEM_READONLY = 2;
/** KVM's own mark on a slot that is being removed. */
const KVM_MEMSLOT_INVALID = 1 << 16;
const VIRTUAL_LIMIT = 1n << 57n;
const PHYSICAL_PAGES = 2 ** 40;

/**
 * The memory slots of a guest, ascending: a tree by page frames since 5.17, of which there are two whose nodes take
 * turns (`node_idx`), and an array before. Slots that cannot be are damage.
 */
export function readSlots(view: KernelView, kvm: Struct, damage: Damage[]): MemorySlot[] {
  const part = 'memory slots';
  const slots = activeSlots(view, kvm);
  const broken: Damage[] = [];
  const read = collectEach(broken, part, slotsOf(view, slots), readSlot, MOST_SLOTS);
  if (broken.length > 0) {
    const known = new Set(read.map(({ id }) => id));
    const more = collectEach(broken, part, slotsById(view, slots, broken), readSlot, MOST_SLOTS);
    read.push(...more.filter(({ id }) => !known.has(id)));
  }
  damage.push(...broken);
  read.sort((a, b) => a.first - b.first);
  const apart = read.filter((slot, i) => {
    const before = read[i - 1];
    return before === undefined || slot.first >= before.first + before.pages;
  });
  if (apart.length < read.length) {
    damage.push({ code: 'EXH_BAD_STRUCTURE', part, message: `${read.length - apart.length} of them overlap others` });
  }
  return apart;
}

/** The set of slots that is in use. Where the pointer to it is not in the dump: the newer one of the two. */
function activeSlots(view: KernelView, kvm: Struct): Struct {
  try {
    return view.struct('kvm_memslots', view.memory.pointer(kvm.addressOf('memslots')));
  } catch (error) {
    if (!isExhumeError(error) || !kvm.has('__memslots')) throw error;
    const first = view.struct('kvm_memslots', kvm.addressOf('__memslots'));
    const second = view.struct('kvm_memslots', first.address + BigInt(first.type.size));
    return second.big('generation') > first.big('generation') ? second : first;
  }
}

function* slotsOf(view: KernelView, slots: Struct): Generator<Struct> {
  const type = view.types.requireStruct('kvm_memory_slot');
  if (slots.has('gfn_tree')) {
    const node = type.require('gfn_node');
    const index = slots.int('node_idx') & 1;
    const offset = BigInt(node.offset + (index * node.size) / 2);
    for (const address of rbtreeNodes(view.memory, slots.addressOf('gfn_tree'))) {
      yield new Struct(view.memory, type, (address - offset) as Struct['address']);
    }
    return;
  }
  const first = slots.addressOf('memslots');
  const count = Math.min(slots.int('used_slots'), MOST_SLOTS);
  for (let i = 0; i < count; i++) yield view.struct('kvm_memory_slot', first + BigInt(i * type.size));
}

/** The same slots by their numbers: a table of lists beside the tree, where it is broken elsewhere. */
function* slotsById(view: KernelView, slots: Struct, damage: Damage[]): Generator<Struct> {
  const table = slots.type.field('id_hash');
  const type = view.types.requireStruct('kvm_memory_slot');
  const links = type.field('id_node');
  if (table === undefined || links === undefined) return;
  const link = BigInt(links.offset + ((slots.int('node_idx') & 1) * links.size) / 2);
  for (let at = 0; at < table.size; at += 8) {
    const head = slots.address + BigInt(table.offset + at);
    for (const node of collect(damage, 'memory slots', hlistNodes(view.memory, head), MOST_SLOTS)) {
      yield view.struct(type.name, node - link);
    }
  }
}

function readSlot(slot: Struct): MemorySlot | undefined {
  const flags = slot.int('flags');
  const first = slot.int('base_gfn');
  const pages = slot.int('npages');
  const address = slot.big('userspace_addr');
  if (pages === 0 || (flags & KVM_MEMSLOT_INVALID) !== 0) return undefined;
  if (pages >= MOST_PAGES || first + pages > PHYSICAL_PAGES || address >= VIRTUAL_LIMIT || (address & 0xfffn) !== 0n) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', `a memory slot of ${pages} pages at page ${first} cannot be`, {
      address: slot.address,
    });
  }
  const file = slot.has('gmem.file') ? slot.follow('gmem.file') : undefined;
  return {
    id: slot.int('id'),
    first,
    pages,
    processPage: Number(address >> 12n),
    readOnly: (flags & KVM_MEM_READONLY) !== 0,
    privateFile: file && { mapping: file.pointer('f_mapping'), offset: slot.int('gmem.pgoff') },
  };
}
