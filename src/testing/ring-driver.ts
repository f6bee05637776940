import type { RingAddresses } from '../device/virtqueue.js';
import type { GuestRam } from './guest-ram.js';

/** One descriptor as a driver writes it. */
export interface Descriptor {
  readonly address: number | bigint;
  readonly length: number;
  readonly flags?: number;
  readonly next?: number;
}

/** What a driver gets back. */
export interface Used {
  readonly id: number;
  readonly length: number;
}

/** The driver's side of a split ring in a guest's memory: honest when asked for `submit`, anything else field by field. */
export class RingDriver {
  private given = 0;
  private collected = 0;
  readonly addresses: RingAddresses;

  /** The ring (of an even size) takes 26 * size + 8 bytes from `at` (a multiple of 16) on. */
  constructor(
    private readonly ram: GuestRam,
    at: number,
    readonly size = 128,
  ) {
    const available = at + 16 * size;
    this.addresses = { descriptors: at, available, used: available + 4 + 2 * size };
  }

  descriptor(index: number, { address, length, flags = 0, next = 0 }: Descriptor): void {
    const at = this.addresses.descriptors - this.ram.base + 16 * index;
    this.ram.view.setBigUint64(at, BigInt(address), true);
    this.ram.view.setUint32(at + 8, length, true);
    this.ram.view.setUint16(at + 12, flags, true);
    this.ram.view.setUint16(at + 14, next, true);
  }

  /** Puts a descriptor's index into the available ring and tells of it. */
  offer(head: number): void {
    const at = this.addresses.available - this.ram.base;
    this.ram.view.setUint16(at + 4 + 2 * (this.given % this.size), head, true);
    this.setAvailable(this.given + 1);
  }

  setAvailable(index: number): void {
    this.given = index & 0xffff;
    this.ram.view.setUint16(this.addresses.available - this.ram.base + 2, this.given, true);
  }

  setAvailableFlags(flags: number): void {
    this.ram.view.setUint16(this.addresses.available - this.ram.base, flags, true);
  }

  /** A whole request from descriptor `head` on, in the order that Linux uses: what is read, then what is written. */
  submit(readable: readonly Descriptor[], writable: readonly Descriptor[], head = 0): void {
    const all = [...readable, ...writable];
    all.forEach((descriptor, index) => {
      const flags = (index + 1 < all.length ? 1 : 0) | (index >= readable.length ? 2 : 0);
      this.descriptor((head + index) % this.size, { ...descriptor, flags, next: (head + index + 1) % this.size });
    });
    this.offer(head);
  }

  /** The next used element, if the device has returned one. */
  collect(): Used | undefined {
    const at = this.addresses.used - this.ram.base;
    if (this.ram.view.getUint16(at + 2, true) === this.collected) return undefined;
    const element = at + 4 + 8 * (this.collected % this.size);
    this.collected = (this.collected + 1) & 0xffff;
    return { id: this.ram.view.getUint32(element, true), length: this.ram.view.getUint32(element + 4, true) };
  }
}
