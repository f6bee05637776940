import { closeSync } from 'node:fs';
import { hex } from '../../bytes/address.js';
import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { Lease } from '../lease.js';
import { isEvent, type Native, signal } from '../native/native.js';
import type { Watch } from '../native/poller.js';
import { ServedQueue } from '../served-queue.js';
import type { VirtioDevice } from '../virtio-device.js';
import type { RingAddresses } from '../virtqueue.js';
import type { VhostMemory } from './memory.js';

/** How long a request under way may hold up a machine that stops its ring, in ms. */
const PATIENCE = 2000;

/** The most descriptors of a ring: the whole table is read for each request. */
const MOST_DESCRIPTORS = 1024;

/** Whom a ring tells. */
export interface RingHost {
  failed(error: Error): void;
  /** The driver wants an interrupt, and none can be raised. */
  silent(): void;
  /** Whether what the driver puts into the ring stands in the files that were passed. Told again for each start of a ring. */
  sees(requests: boolean): void;
}

/** The counters of a ring. */
export type RingEvent = 'kick' | 'call' | 'error';

/** One ring as the machine sets it up, and the queue that runs on it between kick and stop. */
export class VhostRing {
  enabled = false;
  private size = 0;
  /** User addresses of the machine's process. */
  private addresses: RingAddresses = { descriptors: 0, available: 0, used: 0 };
  private base = 0;
  private readonly events = new Map<RingEvent, number>();
  private watch: Watch | undefined;
  private cameKicked = false;
  private running: { readonly queue: ServedQueue; readonly lease: Lease; readonly sight: Sight } | undefined;

  constructor(
    private readonly native: Native,
    private readonly device: VirtioDevice,
    private readonly host: RingHost,
  ) {}

  /** The machine has told it to begin, and not to stop. */
  get started(): boolean {
    return this.watch !== undefined;
  }

  /** These three answer whether a ring can have that, and be given it now. */
  setSize(size: number): boolean {
    const fits = size > 0 && size <= MOST_DESCRIPTORS && (size & (size - 1)) === 0;
    if (fits && !this.started) this.size = size;
    return fits && !this.started;
  }

  setAddresses(addresses: RingAddresses): boolean {
    if (!this.started) this.addresses = addresses;
    return !this.started;
  }

  setBase(base: number): boolean {
    if (!this.started) this.base = base & 0xffff;
    return !this.started;
  }

  /** Takes a descriptor in place of the one that it has, or of none. Whether it is a counter. */
  setEvent(which: RingEvent, descriptor: number | undefined): boolean {
    if (which === 'kick') this.unwatch();
    const old = this.events.get(which);
    if (old !== undefined) closeSync(old);
    this.events.delete(which);
    if (descriptor === undefined) return true;
    if (!isEvent(descriptor)) {
      closeSync(descriptor);
      return false;
    }
    this.events.set(which, descriptor);
    // Nobody reads a counter away: each change of it is told of, and first what it came with.
    if (which === 'kick') {
      this.cameKicked = this.native.libc.readable(descriptor);
      this.watch = this.native.poller.watch(descriptor, () => this.kicked(), { edge: true });
    }
    return true;
  }

  /** Lets the queue run, if it is started and enabled. Throws EXH_DEVICE_RING, EXH_DEVICE_MEMORY. */
  run(memory: VhostMemory): void {
    if (this.running || !this.started || !this.enabled) return;
    const { size } = this;
    const addresses = {
      descriptors: guestAddress(memory, this.addresses.descriptors, 16 * size),
      available: guestAddress(memory, this.addresses.available, 4 + 2 * size),
      used: guestAddress(memory, this.addresses.used, 4 + 8 * size),
    };
    if (size === 0) throw new ExhumeError('EXH_DEVICE_RING', 'vhost-user: a ring is started that has no size');
    const index = (address: number): number => {
      const bytes = new Uint8Array(2);
      memory.fill(address, bytes);
      return viewOf(bytes).getUint16(0, true);
    };
    const from = { available: this.base, used: index(addresses.used + 2) };
    const host = { interrupt: () => this.interrupt(), failed: (error: Error) => this.host.failed(error) };
    const lease = new Lease(memory);
    const queue = new ServedQueue(this.device, lease, host, { size, addresses, from });
    const given = () => index(addresses.available + 2) !== from.available;
    this.running = { queue, lease, sight: new Sight(given, (requests) => this.host.sees(requests)) };
    // What came before is there without a kick.
    queue.notify();
  }

  /** Nothing runs any more when this resolves, but it may go on from there. */
  async halt(): Promise<void> {
    const { running } = this;
    this.running = undefined;
    if (running) this.base = await running.queue.stop(PATIENCE);
  }

  /** As `halt`, until it is started anew: with the index of the request that comes next. */
  async stop(): Promise<number> {
    this.setEvent('kick', undefined);
    await this.halt();
    return this.base;
  }

  /** Memory is not touched any more, and the machine hears of it. */
  break(): void {
    this.running?.lease.end();
    const event = this.events.get('error');
    if (event !== undefined) signal(this.native, event);
  }

  /** The machine is gone. */
  close(): void {
    this.running?.lease.end();
    for (const which of [...this.events.keys()]) this.setEvent(which, undefined);
  }

  private kicked(): void {
    const { running, cameKicked } = this;
    this.cameKicked = false;
    if (!running || running.lease.ended) return;
    try {
      // Machines pass counters that they have kicked themselves: the driver need not have given anything.
      if (!cameKicked) running.sight.kicked();
      running.queue.notify();
    } catch (error) {
      if (!(error instanceof ExhumeError)) throw error;
      this.host.failed(error);
    }
  }

  private interrupt(): void {
    const event = this.events.get('call');
    if (event === undefined) this.host.silent();
    else signal(this.native, event);
  }

  private unwatch(): void {
    this.watch?.end();
    this.watch = undefined;
  }
}

/**
 * Looks whether the files that were passed are what the guest writes to, and not what its memory is a private copy of
 * (`share=off`): a driver that kicks has put something into its ring.
 */
class Sight {
  private told: boolean | undefined;

  constructor(
    private readonly given: () => boolean,
    private readonly sees: (requests: boolean) => void,
  ) {}

  /** Throws EXH_DEVICE_MEMORY. */
  kicked(): void {
    if (this.told) return;
    const given = this.given();
    if (given === this.told) return;
    this.told = given;
    this.sees(given);
  }
}

/** Where all bytes of a part of a ring are for the guest. */
function guestAddress(memory: VhostMemory, userAddress: number, length: number): number {
  const address = memory.guestAddress(userAddress);
  const end = memory.guestAddress(userAddress + length - 1);
  if (address !== undefined && end === address + length - 1) return address;
  const where = hex(userAddress);
  throw new ExhumeError('EXH_DEVICE_MEMORY', `vhost-user: no ring of ${length} bytes can be at ${where}`, {});
}
