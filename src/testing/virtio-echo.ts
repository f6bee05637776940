import type { GuestMemory } from '../device/guest-memory.js';
import { gather, scatter } from '../device/parts.js';
import type { VirtioDevice } from '../device/virtio-device.js';
import type { Chain } from '../device/virtqueue.js';

/** Gives back what it is given. */
export class Echo implements VirtioDevice {
  readonly id = 22;
  readonly queues = 2;
  readonly queueSize = 128;
  readonly mostBytes: number = 0x3000;
  readonly config = Uint8Array.of(1, 2, 3, 4);
  resets = 0;
  handled = 0;

  async handle({ readable, writable }: Chain, memory: GuestMemory): Promise<number> {
    this.handled++;
    return scatter(memory, writable, await gather(memory, readable));
  }

  reset(): void {
    this.resets++;
  }
}
