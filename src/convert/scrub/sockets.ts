import { ExhumeError, isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { readTasks } from '../../kernel/tasks/task-list.js';
import type { Struct } from '../../kernel/types/struct.js';
import type { Blanking } from './blanking.js';

const KIND = 'socket buffers';
const FRAGMENTS = 'network page fragments';
/** More than `skb_headlen` and the largest headroom. */
const LONGEST_HEAD = 1 << 20;
/** The low bit of a `netmem_ref`: device memory, which is no page of ours. */
const NET_IOV = 1n;
/** 2 of `sk_buff.fclone`: the second of a pair, and in use. */
const CLONE = 2;
/** In `page_frag_cache.encoded_page` (6.13): the order of the block is in the low byte, all below a page is flags. */
const ENCODED_FLAGS = 0xfffn;
const ENCODED_ORDER = 0xffn;

/**
 * The data of all socket buffers, whatever queue they are on: of sockets, of the network stack, of drivers. They are
 * found as objects in use of the caches that they come from; include/linux/skbuff.h.
 */
export function scrubSocketBuffers(blanking: Blanking): void {
  const { view, slabs } = blanking;
  blanking.count(KIND, 0, 0);
  const seen = new Set<bigint>();
  for (const [cache, paired] of bufferCaches(view)) {
    for (const address of slabs.inUse(cache)) {
      if (!paired) scrubBuffer(blanking, view.struct('sk_buff', address), seen);
      else {
        const pair = view.struct('sk_buff_fclones', address);
        scrubBuffer(blanking, pair.member('skb1'), seen);
        const second = pair.member('skb2');
        if (second.int('fclone') === CLONE) scrubBuffer(blanking, second, seen);
      }
    }
  }
}

/** The caches of single buffers and of pairs; variables of their own until 6.8. */
function* bufferCaches(view: KernelView): Generator<[cache: bigint, paired: boolean]> {
  const { symbols } = view.kernel;
  const hot = symbols.address('net_hotdata');
  for (const [names, paired] of [
    [['skbuff_cache', 'skbuff_head_cache'], false],
    [['skbuff_fclone_cache'], true],
  ] as const) {
    for (const name of names) {
      const variable = symbols.address(name);
      const type = view.types.struct('net_hotdata');
      if (variable !== undefined) yield [view.memory.pointer(variable), paired];
      else if (hot !== undefined && type?.field(name) !== undefined) {
        yield [view.struct('net_hotdata', hot).pointer(name), paired];
      }
    }
  }
}

/** Merged caches have other objects, too: what does not look like a buffer in every respect is passed over. */
function scrubBuffer(blanking: Blanking, buffer: Struct, seen: Set<bigint>): void {
  const head = buffer.pointer('head');
  const end = offset(buffer, 'end', head);
  if (seen.has(head) || !looksSound(buffer, head, end)) return;
  const shared = sharedInfo(blanking.view, head + BigInt(end));
  if (shared === undefined) return;
  seen.add(head);
  blanking.attempt(KIND, () => {
    blanking.keep(shared.address, shared.type.size);
    blanking.buffer(KIND, head, end);
    for (const { page, start, length } of fragments(blanking.view, shared)) {
      blanking.partOfPage(KIND, page, start, length);
    }
  });
}

function looksSound(buffer: Struct, head: bigint, end: number): boolean {
  if (head === 0n || end <= 0 || end > LONGEST_HEAD) return false;
  const data = buffer.pointer('data');
  const tail = offset(buffer, 'tail', head);
  return data >= head && data <= head + BigInt(tail) && tail <= end;
}

/** A pointer on 32-bit kernels, elsewhere bytes from the head. */
function offset(buffer: Struct, member: 'end' | 'tail', head: bigint): number {
  return buffer.type.require(member).size === 8 ? Number(buffer.pointer(member) - head) : buffer.int(member);
}

function sharedInfo(view: KernelView, address: bigint): Struct | undefined {
  try {
    const shared = view.struct('skb_shared_info', address);
    const most = Math.floor(shared.type.require('frags').size / fragmentType(view).size);
    return shared.int('nr_frags') <= most && shared.int('dataref.counter') > 0 ? shared : undefined;
  } catch (error) {
    if (isExhumeError(error) && error.code !== 'EXH_NO_LAYOUT') return undefined;
    throw error;
  }
}

/** `skb_frag_t`: a `struct bio_vec` from 5.4 to 6.9. */
function fragmentType(view: KernelView): { readonly name: string; readonly size: number } {
  return view.types.struct('skb_frag') ?? view.types.requireStruct('bio_vec');
}

function* fragments(
  view: KernelView,
  shared: Struct,
): Generator<{ readonly page: bigint; readonly start: number; readonly length: number }> {
  const { name, size } = fragmentType(view);
  const count = shared.int('nr_frags');
  for (let index = 0; index < count; index++) {
    const fragment = view.struct(name, shared.addressOf('frags') + BigInt(index * size));
    const first = (names: readonly string[]): string => {
      const found = names.find((path) => fragment.has(path));
      if (found === undefined) throw new ExhumeError('EXH_NO_LAYOUT', `${name} has no ${names[0]}`);
      return found;
    };
    const page = fragment.pointer(first(['netmem', 'bv_page', 'page.p']));
    if ((page & NET_IOV) !== 0n) continue;
    yield {
      page,
      start: fragment.int(first(['offset', 'bv_offset', 'page_offset'])),
      length: fragment.int(first(['len', 'bv_len', 'size'])),
    };
  }
}

/**
 * Blocks of pages from which parts of packets are cut, with what earlier packets left in them: of tasks and sockets
 * (`struct page_frag`) and of CPUs (`struct page_frag_cache`).
 */
export function scrubPageFragments(blanking: Blanking, sockets: Iterable<Struct>): void {
  const { view } = blanking;
  blanking.count(FRAGMENTS, 0, 0);
  for (const { address } of readTasks(view).tasks) {
    const task = view.struct('task_struct', address);
    if (task.has('task_frag')) scrubFragment(blanking, task.member('task_frag'));
  }
  for (const socket of sockets) {
    blanking.attempt(FRAGMENTS, () => {
      const sock = socket.follow('sk');
      if (sock?.has('sk_frag')) scrubFragment(blanking, sock.member('sk_frag'));
    });
  }
  for (const cpu of view.cpus('possible')) {
    for (const cache of perCpuCaches(view, cpu)) blanking.attempt(FRAGMENTS, () => scrubFragmentCache(blanking, cache));
  }
}

function scrubFragment(blanking: Blanking, fragment: Struct): void {
  const page = fragment.pointer('page');
  const size = fragment.int('size');
  if (page !== 0n && size > 0) blanking.partOfPage(FRAGMENTS, page, 0, size);
}

function* perCpuCaches(view: KernelView, cpu: number): Generator<Struct> {
  const { symbols } = view.kernel;
  if (symbols.address('netdev_alloc_cache') !== undefined) {
    yield view.struct('page_frag_cache', view.perCpu('netdev_alloc_cache', cpu));
  }
  if (symbols.address('napi_alloc_cache') === undefined) return;
  const napi = view.struct('napi_alloc_cache', view.perCpu('napi_alloc_cache', cpu));
  if (napi.has('page')) yield napi.member('page');
}

function scrubFragmentCache(blanking: Blanking, cache: Struct): void {
  const { pageSize } = blanking.view.memory.physical;
  if (cache.has('encoded_page')) {
    const word = cache.big('encoded_page');
    const order = Number(word & ENCODED_ORDER);
    if (word !== 0n) blanking.buffer(FRAGMENTS, word & ~ENCODED_FLAGS, pageSize * 2 ** order);
  } else {
    const block = cache.pointer('va');
    if (block !== 0n) blanking.buffer(FRAGMENTS, block, cache.has('size') ? cache.int('size') : pageSize);
  }
}
