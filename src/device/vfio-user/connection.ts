import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { closeAll, Descriptors } from '../descriptors.js';
import type { ConnectionEvents } from '../events.js';
import { FrameReader } from '../frames.js';
import type { Link, LinkReceiver } from '../link.js';
import type { VirtioDevice } from '../virtio-device.js';
import { VirtioPciFunction } from '../virtio-pci.js';
import { DmaMessages } from './dma.js';
import { Interrupts } from './interrupts.js';
import { VfioMemory } from './memory.js';
import { decodeMessage, encodeMessage, FRAMING, type Message } from './message.js';
import * as wire from './protocol.js';

/** The most descriptors that one message brings: one for memory, or one for each vector. */
const MOST_DESCRIPTORS = 8;

/**
 * One client (a virtual machine) of a virtio device, over vfio-user.
 *
 * Every request is answered before the next one is looked at, and before anything else is done: the client's CPUs stand
 * still meanwhile, and a late answer would end the connection. What takes time happens after the answer.
 *
 * Where the link brings no descriptors, memory is asked for by messages, and interrupts cannot be raised.
 */
export class VfioUserConnection implements LinkReceiver {
  private readonly reader = new FrameReader(FRAMING);
  /** Those of the message that is coming. */
  private coming: number[] = [];
  private readonly messages = new DmaMessages((message) => this.send(message));
  private readonly memory: VfioMemory;
  private readonly interrupts: Interrupts;
  private readonly pci: VirtioPciFunction;
  private agreed = false;

  constructor(
    private readonly link: Link,
    device: VirtioDevice,
    private readonly events: ConnectionEvents = {},
  ) {
    this.memory = new VfioMemory(this.messages, (trust) => {
      if (trust === 'shared') this.events.memory?.('descriptors');
      else this.events.memory?.('messages', 'the descriptors that came do not show what the guest writes (share=off?)');
    });
    this.interrupts = new Interrupts(link.native, () => this.events.silent?.());
    this.pci = new VirtioPciFunction(device, {
      memory: this.memory,
      interrupt: (vector) => this.interrupts.raise(vector),
      broken: (error) => this.events.broken?.(error),
    });
  }

  get wants(): number {
    return this.reader.wants;
  }

  take(bytes: Uint8Array, descriptors: readonly number[]): void {
    this.coming.push(...descriptors);
    const frames = this.reader.push(bytes);
    if (this.coming.length > MOST_DESCRIPTORS) {
      throw new ExhumeError('EXH_DEVICE_PROTOCOL', `vfio-user: ${this.coming.length} descriptors with one message`);
    }
    for (const frame of frames) {
      const came = new Descriptors(this.coming.splice(0));
      try {
        this.receive(decodeMessage(frame), came);
      } finally {
        came.close();
      }
    }
  }

  closed(error?: Error): void {
    closeAll(this.coming.splice(0));
    this.messages.close();
    this.pci.close();
    this.memory.close();
    this.interrupts.close();
    this.events.closed?.(error);
  }

  private receive(message: Message, came: Descriptors): void {
    if ((message.flags & wire.TYPE_MASK) === wire.REPLY) {
      this.messages.answered(message);
      return;
    }
    const answer = this.answer(message, came);
    if (message.flags & wire.NO_REPLY) return;
    const { id, command } = message;
    if (typeof answer === 'number') {
      this.send({ id, command, flags: wire.REPLY | wire.ERROR, errno: answer, body: new Uint8Array(0) });
    } else {
      this.send({ id, command, flags: wire.REPLY, errno: 0, body: answer });
    }
  }

  private send(message: Message): void {
    this.link.send(encodeMessage(message));
  }

  /** The body of the reply, or the number of an error. */
  private answer({ command, body }: Message, came: Descriptors): Uint8Array | number {
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
        return withBody(wire.DMA_MAP, body, ({ flags, address, size, offset }) => {
          if (!(size > 0 && Number.isSafeInteger(address + size))) return wire.EINVAL;
          const access = flags & (wire.DMA_READABLE | wire.DMA_WRITABLE);
          const outcome = this.memory.add({ address, size, access, offset }, came.take());
          if (outcome === 'added') return new Uint8Array(0);
          return outcome === 'full' ? wire.ENOSPC : wire.EEXIST;
        });
      case wire.COMMAND.dmaUnmap:
        return withBody(wire.DMA_UNMAP, body, ({ flags, address, size }) => {
          const all = (flags & wire.UNMAP_ALL) !== 0;
          const removed = all ? this.memory.remove(0, Number.POSITIVE_INFINITY) : this.memory.remove(address, size);
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
        return withBody(wire.IRQ_SET, body, ({ flags, index, start, count }) => {
          if (!(index < wire.IRQS && start + count <= vectorsOf(index))) return wire.EINVAL;
          if (index === wire.MSIX && flags & wire.IRQ_TRIGGER) this.interrupts.set(start, count, came);
          return new Uint8Array(0);
        });
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
      this.messages.mostData = Math.min(wire.MOST_ASKED, theirs);
      const capabilities = { max_msg_fds: 8, max_data_xfer_size: wire.MOST_DATA };
      const text = new TextEncoder().encode(`${JSON.stringify({ capabilities })}\0`);
      return Buffer.concat([encode(wire.VERSION, { major: 0, minor: Math.min(minor, 0) }), text]);
    });
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
