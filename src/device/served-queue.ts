import { asError } from '../bytes/errors.js';
import type { Lease } from './lease.js';
import { within } from './patience.js';
import type { VirtioDevice } from './virtio-device.js';
import { Virtqueue, type VirtqueueOptions } from './virtqueue.js';

/** Whom a queue tells. */
export interface QueueHost {
  /** A request was given back, and the driver wants to know. */
  interrupt(): void;
  /** The driver broke the rules, or its memory failed: the queue does nothing more. */
  failed(error: Error): void;
}

/** A queue that a device answers: one request after the other, each in its own time. */
export class ServedQueue {
  private readonly ring: Virtqueue;
  private serving: Promise<void> | undefined;
  /** The driver has told of more requests meanwhile. */
  private again = false;
  private stopped = false;

  /** Throws EXH_DEVICE_RING where no ring can be. */
  constructor(
    private readonly device: VirtioDevice,
    private readonly lease: Lease,
    private readonly host: QueueHost,
    options: Omit<VirtqueueOptions, 'mostBytes'>,
  ) {
    this.ring = new Virtqueue(lease, { ...options, mostBytes: device.mostBytes });
  }

  /** There may be requests. */
  notify(): void {
    this.again = true;
    if (!this.stopped) this.serving ??= this.serve();
  }

  /**
   * Takes no more requests, and resolves when the one under way has been given back, but not later than `patience` ms:
   * memory is not touched after that. With the index of the first request that was not given back.
   */
  async stop(patience: number): Promise<number> {
    this.stopped = true;
    if (this.serving) await within(this.serving, patience, undefined);
    this.lease.end();
    return this.ring.next;
  }

  /** Answers what is there until it is empty. Never rejects. */
  private async serve(): Promise<void> {
    try {
      while (this.again && !this.stopped) {
        this.again = false;
        for (let chain = await this.ring.take(); chain; chain = this.stopped ? undefined : await this.ring.take()) {
          const written = await this.device.handle(chain, this.lease);
          if (await this.ring.complete(chain, written)) this.host.interrupt();
        }
      }
    } catch (error) {
      if (!this.lease.ended) this.host.failed(asError(error));
    } finally {
      this.serving = undefined;
    }
  }
}
