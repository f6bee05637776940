import type { GuestMemory } from './guest-memory.js';
import type { Chain } from './virtqueue.js';

/** What a virtio device is, apart from how a machine reaches it. */
export interface VirtioDevice {
  /** Its number in the virtio specification. */
  readonly id: number;
  /** How many queues it has, and the most descriptors that each may have. */
  readonly queues: number;
  readonly queueSize: number;
  /** The most bytes that one request may name. */
  readonly mostBytes: number;
  /** Its own configuration, which drivers only read. */
  readonly config: Uint8Array;
  /**
   * Answers a request and says how many bytes of its writable parts it filled. Requests of one queue come one after
   * the other. An EXH_DEVICE_ error means that the driver cannot go on with this device before it resets it.
   */
  handle(chain: Chain, memory: GuestMemory): Promise<number>;
  /** The driver resets it. */
  reset(): void;
}
