import { ExhumeError } from '../bytes/errors.js';
import type { GuestMemory } from './guest-memory.js';

/**
 * Guest memory until a driver resets the device. After `end` no access begins; the driver may use its memory for other
 * things once those that were under way have ended too.
 */
export class Lease implements GuestMemory {
  private underWay = 0;
  private over = false;

  constructor(private readonly memory: GuestMemory) {}

  get ended(): boolean {
    return this.over;
  }

  /** Whether accesses are still under way. */
  get busy(): boolean {
    return this.underWay > 0;
  }

  end(): void {
    this.over = true;
  }

  read(address: number, into: Uint8Array): Promise<void> {
    return this.during(() => this.memory.read(address, into));
  }

  write(address: number, bytes: Uint8Array): Promise<void> {
    return this.during(() => this.memory.write(address, bytes));
  }

  private async during(access: () => Promise<void>): Promise<void> {
    if (this.over) throw new ExhumeError('EXH_DEVICE_MEMORY', 'the driver has reset the device');
    this.underWay++;
    try {
      await access();
    } finally {
      this.underWay--;
    }
  }
}
