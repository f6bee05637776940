import { ExhumeError } from '../bytes/errors.js';
import { size64, structTable, u16, u32, viewOf } from '../bytes/struct-table.js';
import type { GuestMemory } from './guest-memory.js';

/**
 * The device's side of a split virtqueue (Virtual I/O Device 1.2, section 2.7).
 *
 * Everything in the ring is the guest's and may change at any moment: each field is read once, into memory of ours, and
 * judged there. What no driver may do throws EXH_DEVICE_RING, and the device is broken until it is reset.
 */

const DESCRIPTOR = structTable('virtq_desc', 16, {
  address: size64(0),
  length: u32(8),
  flags: u16(12),
  next: u16(14),
});
const AVAILABLE = structTable('virtq_avail', 4, { flags: u16(0), index: u16(2) });
const USED_ELEMENT = structTable('virtq_used_elem', 8, { id: u32(0), length: u32(4) });

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;
/** In the flags of the available ring: the driver polls. */
const NO_INTERRUPT = 1;

/** Where the driver put the parts of a ring: guest physical addresses. */
export interface RingAddresses {
  readonly descriptors: number;
  readonly available: number;
  readonly used: number;
}

/** One stretch of guest memory in a request. */
export interface Part {
  readonly address: number;
  readonly length: number;
}

/** A request: what the device may read, then what it may write. */
export interface Chain {
  /** The index of its first descriptor. */
  readonly head: number;
  readonly readable: readonly Part[];
  readonly writable: readonly Part[];
}

export interface VirtqueueOptions {
  /** Descriptors: a power of two up to 32768. */
  readonly size: number;
  readonly addresses: RingAddresses;
  /** The most bytes that one request may name, read and written together. */
  readonly mostBytes: number;
  /** Where it goes on: the entries of the two rings that come next. Both 0 for a new ring. */
  readonly from?: { readonly available: number; readonly used: number };
}

export class Virtqueue {
  /** The next entry of the available ring that is ours to take, and of the used ring that is ours to fill; both wrap at 2^16. */
  private taken: number;
  private returned: number;
  private readonly inFlight = new Set<number>();

  /** Throws EXH_DEVICE_RING where no ring can be. */
  constructor(
    private readonly memory: GuestMemory,
    private readonly options: VirtqueueOptions,
  ) {
    const { descriptors, available, used } = options.addresses;
    if (descriptors % 16 || available % 2 || used % 4 || Math.max(descriptors, available, used) >= 2 ** 52) {
      const where = [descriptors, available, used].map((address) => address.toString(16)).join(', ');
      throw broken(`no ring can be at ${where}`);
    }
    this.taken = options.from?.available ?? 0;
    this.returned = options.from?.used ?? 0;
  }

  /** The first entry of the available ring that was not given back, for whoever goes on. */
  get next(): number {
    return (this.taken - this.inFlight.size) & 0xffff;
  }

  /** The next request, or undefined when there is none. */
  async take(): Promise<Chain | undefined> {
    const { size, addresses } = this.options;
    const { index } = await this.available();
    const waiting = (index - this.taken) & 0xffff;
    if (waiting === 0) return undefined;
    if (waiting > size) throw broken(`the available index is ${waiting} requests ahead of a ring of ${size}`);
    const entry = new Uint8Array(2);
    const table = new Uint8Array(size * DESCRIPTOR.size);
    await Promise.all([
      this.memory.read(addresses.available + 4 + 2 * (this.taken & (size - 1)), entry),
      this.memory.read(addresses.descriptors, table),
    ]);
    const head = viewOf(entry).getUint16(0, true);
    if (head >= size) throw broken(`the available ring names descriptor ${head} of ${size}`);
    if (this.inFlight.has(head)) throw broken(`descriptor ${head} was given again before it was returned`);
    const chain = this.follow(viewOf(table), head);
    this.inFlight.add(head);
    this.taken = (this.taken + 1) & 0xffff;
    return chain;
  }

  /** Gives a request back, `written` bytes of its writable parts filled. Answers whether the driver wants an interrupt. */
  async complete(chain: Chain, written: number): Promise<boolean> {
    const { size, addresses } = this.options;
    const element = new Uint8Array(USED_ELEMENT.size);
    USED_ELEMENT.write(viewOf(element), 0, { id: chain.head, length: written });
    // The element has to stand in memory before the index that tells of it.
    await this.memory.write(addresses.used + 4 + USED_ELEMENT.size * (this.returned & (size - 1)), element);
    this.returned = (this.returned + 1) & 0xffff;
    this.inFlight.delete(chain.head);
    const index = new Uint8Array(2);
    viewOf(index).setUint16(0, this.returned, true);
    await this.memory.write(addresses.used + 2, index);
    return ((await this.available()).flags & NO_INTERRUPT) === 0;
  }

  private async available() {
    const bytes = new Uint8Array(AVAILABLE.size);
    await this.memory.read(this.options.addresses.available, bytes);
    return AVAILABLE.read(viewOf(bytes));
  }

  private follow(table: DataView, head: number): Chain {
    const { size, mostBytes } = this.options;
    const readable: Part[] = [];
    const writable: Part[] = [];
    let bytes = 0;
    let at = head;
    for (let steps = 0; steps < size; steps++) {
      const { address, length, flags, next } = DESCRIPTOR.read(table, at * DESCRIPTOR.size);
      if (flags & INDIRECT) throw broken(`descriptor ${at} is an indirect one, which was not offered`);
      if (length === 0) throw broken(`descriptor ${at} is empty`);
      if (!Number.isSafeInteger(address + length)) throw broken(`descriptor ${at} names no address`);
      bytes += length;
      if (bytes > mostBytes) throw broken(`a request of more than ${mostBytes} bytes`);
      if (flags & WRITE) writable.push({ address, length });
      else if (writable.length === 0) readable.push({ address, length });
      else throw broken(`descriptor ${at} is to be read, after one to be written`);
      if ((flags & NEXT) === 0) return { head, readable, writable };
      if (next >= size) throw broken(`descriptor ${at} goes on at ${next} of ${size}`);
      at = next;
    }
    throw broken(`the chain at descriptor ${head} runs in a circle`);
  }
}

function broken(what: string): ExhumeError {
  return new ExhumeError('EXH_DEVICE_RING', `virtqueue: ${what}`);
}
