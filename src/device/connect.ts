import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { closeAll } from './descriptors.js';
import type { ConnectionEvents, Transport } from './events.js';
import type { Link, LinkReceiver } from './link.js';
import { VfioUserConnection } from './vfio-user/connection.js';
import { VhostUserConnection } from './vhost-user/connection.js';
import { HEADER, VERSION, VERSION_MASK } from './vhost-user/protocol.js';
import type { VirtioDevice } from './virtio-device.js';

/** The shorter one of the two protocols' headers. */
const ENOUGH = HEADER.size;

/**
 * Serves a device to the machine at the other end of a link, in the protocol that it speaks. Its first message tells:
 * bytes 2 and 3 are the number of vfio-user's first command (1), and in vhost-user the upper half of the number of a
 * request, none of which is as large as that; flags with its version follow.
 */
export function connect(link: Link, device: VirtioDevice, events: ConnectionEvents = {}): void {
  link.start(new Greeting(link, device, events));
}

function isVhostUser(first: DataView): boolean {
  const { request, flags } = HEADER.read(first);
  return request < 0x10000 && (flags & VERSION_MASK) === VERSION;
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
    const speaks: Transport = isVhostUser(viewOf(this.first)) ? 'vhost-user' : 'vfio-user';
    this.events.speaks?.(speaks);
    const came = this.descriptors.splice(0);
    this.connection = this.open(speaks, came);
    this.connection.take(this.first, came);
  }

  private open(speaks: Transport, descriptors: readonly number[]): LinkReceiver {
    const { link, device, events } = this;
    if (speaks === 'vfio-user') return new VfioUserConnection(link, device, events);
    if (link.native) return new VhostUserConnection(link, link.native, device, events);
    closeAll(descriptors);
    throw new ExhumeError(
      'EXH_UNSUPPORTED_FORMAT',
      'vhost-user takes descriptors: it needs koffi, which is not installed',
    );
  }

  closed(error?: Error): void {
    closeAll(this.descriptors.splice(0));
    if (this.connection) this.connection.closed(error);
    else this.events.closed?.(error);
  }
}
