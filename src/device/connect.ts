import type { ConnectionEvents, Transport } from './events.js';
import type { Link, LinkReceiver } from './link.js';
import { VfioUserConnection } from './vfio-user/connection.js';
import type { VirtioDevice } from './virtio-device.js';

/** The shorter one of the two protocols' headers. */
const ENOUGH = 12;

/**
 * Serves a device to the machine at the other end of a link, in the protocol that it speaks. Its first message tells:
 * bytes 2 and 3 are the number of vfio-user's first command (1), and of vhost-user the upper half of the number of a
 * request, none of which is as large as that.
 */
export function connect(link: Link, device: VirtioDevice, events: ConnectionEvents = {}): void {
  link.start(new Greeting(link, device, events));
}

/** Waits for the first bytes, and hands everything on after that. */
class Greeting implements LinkReceiver {
  private first = new Uint8Array(0);
  private readonly descriptors: number[] = [];
  private connection: LinkReceiver | undefined;

  constructor(
    private readonly link: Link,
    private readonly device: VirtioDevice,
    private readonly events: ConnectionEvents,
  ) {}

  get wants(): number {
    return this.connection?.wants ?? ENOUGH - this.first.length;
  }

  take(bytes: Uint8Array, descriptors: readonly number[]): void {
    if (this.connection) {
      this.connection.take(bytes, descriptors);
      return;
    }
    this.first = Buffer.concat([this.first, bytes]);
    this.descriptors.push(...descriptors);
    if (this.first.length < ENOUGH) return;
    const speaks: Transport = 'vfio-user';
    this.events.speaks?.(speaks);
    this.connection = new VfioUserConnection(this.link, this.device, this.events);
    this.connection.take(this.first, this.descriptors.splice(0));
  }

  closed(error?: Error): void {
    if (this.connection) this.connection.closed(error);
    else this.events.closed?.(error);
  }
}
