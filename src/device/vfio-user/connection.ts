import type { Duplex } from 'node:stream';
import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { VirtioDevice } from '../virtio-device.js';
import { VirtioPciFunction } from '../virtio-pci.js';
import { DmaMemory } from './dma.js';
import { encodeMessage, type Message, MessageReader } from './message-reader.js';
import * as wire from './protocol.js';

/** What those who run a device hear of. */
export interface ConnectionEvents {
  /** The guest's driver broke the device: it has to reset it. */
  broken?(error: Error): void;
  /** A driver wants interrupts, which cannot be raised: it has to poll. Once per connection. */
  silent?(): void;
  /** The client has gone; with what was wrong with what it sent, if that is why. */
  closed?(error?: Error): void;
}

/** Unsent bytes after which nothing more is taken from a client that does not read. */
const MOST_UNSENT = 8 << 20;

/**
 * One client (a virtual machine) of a virtio device, over vfio-user.
 *
 * Every request is answered before the next one is looked at, and before anything else is done: the client's CPUs stand
 * still meanwhile, and a late answer would end the connection. What takes time happens after the answer.
 *
 * Files that come with messages stay out of reach in plain Node: memory is asked for by messages, and interrupts cannot
 * be raised.
 */
export class VfioUserConnection {
  private readonly reader = new MessageReader();
  private readonly memory = new DmaMemory((message) => this.send(message));
  private readonly pci: VirtioPciFunction;
  private failure: Error | undefined;
  private toldSilent = false;
  private agreed = false;

  constructor(
    private readonly socket: Duplex,
    device: VirtioDevice,
    private readonly events: ConnectionEvents = {},
  ) {
    this.pci = new VirtioPciFunction(device, {
      memory: this.memory,
      interrupt: () => this.wantsInterrupt(),
      broken: (error) => this.events.broken?.(error),
    });
    socket.on('data', (chunk: Uint8Array) => this.take(chunk));
    socket.on('drain', () => socket.resume());
    socket.on('error', (error) => {
      this.failure ??= error;
    });
    socket.on('close', () => {
      this.memory.close();
      this.pci.close();
      this.events.closed?.(this.failure);
    });
    socket.on('end', () => socket.end());
  }

  close(): void {
    this.socket.destroy();
  }

  private take(chunk: Uint8Array): void {
    if (this.socket.destroyed) return;
    try {
      for (const message of this.reader.push(chunk)) this.receive(message);
    } catch (error) {
      if (!(error instanceof ExhumeError)) throw error;
      this.failure ??= error;
      this.socket.destroy();
    }
  }

  private receive(message: Message): void {
    if ((message.flags & wire.TYPE_MASK) === wire.REPLY) {
      this.memory.answered(message);
      return;
    }
    const answer = this.answer(message);
    if (message.flags & wire.NO_REPLY) return;
    const { id, command } = message;
    if (typeof answer === 'number') {
      this.send({ id, command, flags: wire.REPLY | wire.ERROR, errno: answer, body: new Uint8Array(0) });
    } else {
      this.send({ id, command, flags: wire.REPLY, errno: 0, body: answer });
    }
  }

  private send(message: Message): void {
    if (this.socket.destroyed) return;
    this.socket.write(encodeMessage(message));
    if (this.socket.writableLength > MOST_UNSENT) this.socket.pause();
  }

  /** The body of the reply, or the number of an error. */
  private answer({ command, body }: Message): Uint8Array | number {
    if (!this.agreed && command !== wire.COMMAND.version) {
      throw new ExhumeError('EXH_DEVICE_PROTOCOL', `vfio-user: command ${command} before any version`);
    }
    switch (command) {
      case wire.COMMAND.version:
        return this.agree(body);
      case wire.COMMAND.reset:
        this.pci.reset();
        return new Uint8Array(0);
      case wire.COMMAND.dmaMap:
        return withBody(wire.DMA_MAP, body, ({ flags, address, size }) => {
          if (!(size > 0 && Number.isSafeInteger(address + size))) return wire.EINVAL;
          const access = flags & (wire.DMA_READABLE | wire.DMA_WRITABLE);
          const outcome = this.memory.map.add({ address, size, access });
          if (outcome === 'added') return new Uint8Array(0);
          return outcome === 'full' ? wire.ENOSPC : wire.EEXIST;
        });
      case wire.COMMAND.dmaUnmap:
        return withBody(wire.DMA_UNMAP, body, ({ flags, address, size }) => {
          const all = (flags & wire.UNMAP_ALL) !== 0;
          const removed = all
            ? this.memory.map.remove(0, Number.POSITIVE_INFINITY)
            : this.memory.map.remove(address, size);
          return removed > 0 || all ? body.slice(0, wire.DMA_UNMAP.size) : wire.ENOENT;
        });
      case wire.COMMAND.getInfo:
        return encode(wire.DEVICE_INFO, {
          argumentSize: wire.DEVICE_INFO.size,
          flags: wire.DEVICE_RESETS | wire.DEVICE_PCI,
          regions: wire.REGIONS,
          irqs: wire.IRQS,
        });
      case wire.COMMAND.getRegionInfo:
        return withBody(wire.REGION_INFO, body, ({ index }) => {
          if (index >= wire.REGIONS) return wire.EINVAL;
          const size = sizeOfRegion(index);
          const flags = size > 0 ? wire.REGION_READABLE | wire.REGION_WRITABLE : 0;
          const argumentSize = wire.REGION_INFO.size;
          return encode(wire.REGION_INFO, { argumentSize, flags, index, capabilities: 0, size, offset: 0 });
        });
      case wire.COMMAND.getIrqInfo:
        return withBody(wire.IRQ_INFO, body, ({ index }) => {
          if (index >= wire.IRQS) return wire.EINVAL;
          const count = vectorsOf(index);
          const flags = count > 0 ? wire.IRQ_EVENTFD : 0;
          return encode(wire.IRQ_INFO, { argumentSize: wire.IRQ_INFO.size, flags, index, count });
        });
      case wire.COMMAND.setIrqs:
        return withBody(wire.IRQ_SET, body, ({ index, start, count }) =>
          index < wire.IRQS && start + count <= vectorsOf(index) ? new Uint8Array(0) : wire.EINVAL,
        );
      case wire.COMMAND.regionRead:
        return withBody(wire.REGION_ACCESS, body, ({ region, offset, count }) => {
          if (!(count <= wire.MOST_DATA && offset + count <= sizeOfRegion(region))) return wire.EINVAL;
          const data = region === wire.CONFIG ? this.pci.config.read(offset, count) : this.pci.readBar(offset, count);
          return Buffer.concat([body.subarray(0, wire.REGION_ACCESS.size), data]);
        });
      case wire.COMMAND.regionWrite:
        return withBody(wire.REGION_ACCESS, body, ({ region, offset, count }) => {
          const data = body.subarray(wire.REGION_ACCESS.size);
          if (!(data.length === count && offset + count <= sizeOfRegion(region))) return wire.EINVAL;
          if (region === wire.CONFIG) this.pci.config.write(offset, data);
          else this.pci.writeBar(offset, data);
          return body.slice(0, wire.REGION_ACCESS.size);
        });
      default:
        return wire.ENOTSUP;
    }
  }

  private agree(body: Uint8Array): Uint8Array | number {
    return withBody(wire.VERSION, body, ({ major, minor }) => {
      if (major !== 0) return wire.EINVAL;
      this.agreed = true;
      const theirs = mostDataOf(body.subarray(wire.VERSION.size));
      this.memory.mostData = Math.min(wire.MOST_DATA, theirs);
      const capabilities = { max_msg_fds: 8, max_data_xfer_size: wire.MOST_DATA };
      const text = new TextEncoder().encode(`${JSON.stringify({ capabilities })}\0`);
      return Buffer.concat([encode(wire.VERSION, { major: 0, minor: Math.min(minor, 0) }), text]);
    });
  }

  private wantsInterrupt(): void {
    if (this.toldSilent) return;
    this.toldSilent = true;
    this.events.silent?.();
  }
}

function sizeOfRegion(index: number): number {
  if (index === wire.BAR0) return VirtioPciFunction.barSize;
  return index === wire.CONFIG ? VirtioPciFunction.configSize : 0;
}

/** QEMU warns when a function cannot tell of errors: it can, and never does. */
function vectorsOf(index: number): number {
  if (index === wire.MSIX) return VirtioPciFunction.vectors;
  return index === wire.ERR ? 1 : 0;
}

/** `max_data_xfer_size` of the client's capabilities. Throws EXH_DEVICE_PROTOCOL for what is no JSON. */
function mostDataOf(text: Uint8Array): number {
  const end = text.indexOf(0);
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(end < 0 ? text : text.subarray(0, end)) || '{}');
    const { capabilities } = json as { capabilities?: { max_data_xfer_size?: unknown } };
    const most = capabilities?.max_data_xfer_size ?? wire.MOST_DATA;
    if (typeof most === 'number' && Number.isSafeInteger(most) && most >= 4096) return most;
    throw new SyntaxError(`max_data_xfer_size is ${most}`);
  } catch (error) {
    const message = `vfio-user: the capabilities that came with the version cannot be read`;
    throw new ExhumeError('EXH_DEVICE_PROTOCOL', message, {}, { cause: error });
  }
}

/** A structure of the protocol. */
interface Table<V> {
  readonly size: number;
  read(view: DataView): V;
  write(view: DataView, at: number, values: Partial<V>): void;
}

function encode<V>(table: Table<V>, values: V): Uint8Array {
  const bytes = new Uint8Array(table.size);
  table.write(viewOf(bytes), 0, values);
  return bytes;
}

/** Refuses a body that is shorter than its structure. */
function withBody<V>(
  table: Table<V>,
  body: Uint8Array,
  answer: (values: V) => Uint8Array | number,
): Uint8Array | number {
  return body.length < table.size ? wire.EINVAL : answer(table.read(viewOf(body)));
}
