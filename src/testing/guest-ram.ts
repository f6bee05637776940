import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import type { GuestMemory } from '../device/guest-memory.js';

/** Memory of a guest that is one buffer, a new one if only its size is given, from address `base` on. */
export class GuestRam implements GuestMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(
    memory: number | Uint8Array,
    readonly base = 0,
  ) {
    this.bytes = typeof memory === 'number' ? new Uint8Array(memory) : memory;
    this.view = viewOf(this.bytes);
  }

  async read(address: number, into: Uint8Array): Promise<void> {
    into.set(this.slice(address, into.length));
  }

  async write(address: number, bytes: Uint8Array): Promise<void> {
    this.slice(address, bytes.length).set(bytes);
  }

  slice(address: number, length: number): Uint8Array {
    const at = address - this.base;
    if (at < 0 || at + length > this.bytes.length) {
      throw new ExhumeError('EXH_DEVICE_MEMORY', `no memory at ${address.toString(16)}`, { address });
    }
    return this.bytes.subarray(at, at + length);
  }
}
