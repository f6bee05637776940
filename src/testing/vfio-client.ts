import type { Duplex } from 'node:stream';
import { viewOf } from '../bytes/struct-table.js';
import { FrameReader } from '../device/frames.js';
import { decodeMessage, encodeMessage, FRAMING, type Message } from '../device/vfio-user/message.js';
import { COMMAND, DMA_ACCESS, DMA_MAP, ERROR, NO_REPLY, REGION_ACCESS, REPLY } from '../device/vfio-user/protocol.js';
import type { GuestRam } from './guest-ram.js';

const EFAULT = 14;

/**
 * The end of vfio-user that QEMU has. Like QEMU it serves memory in a turn of its own, never while it waits for a
 * reply: whoever makes a reply wait for memory hangs.
 */
export class VfioClient {
  private readonly reader = new FrameReader(FRAMING);
  private readonly replies = new Map<number, { resolve(message: Message): void; reject(error: Error): void }>();
  private readonly held: Message[] = [];
  private lastId = 0;
  /** DMA messages are answered only while this is set. */
  serving = true;
  /** Accesses to memory that were answered. */
  accesses = 0;

  constructor(
    readonly socket: Duplex,
    private readonly ram: GuestRam,
    /** Sends descriptors along with bytes. */
    private readonly pass?: (bytes: Uint8Array, descriptors: readonly number[]) => void,
  ) {
    socket.on('data', (chunk: Uint8Array) => {
      for (const frame of this.reader.push(chunk)) this.receive(decodeMessage(frame));
    });
    // What follows an error is the end, which is told of.
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const { reject } of this.replies.values()) reject(new Error('the device closed the connection'));
    });
  }

  /** Agrees on the version, and maps the memory of the guest, which is that of the descriptors. */
  async start(
    capabilities = '{"capabilities":{"max_data_xfer_size":1048576}}',
    descriptors: readonly number[] = [],
  ): Promise<void> {
    const text = new TextEncoder().encode(`${capabilities}\0`);
    await this.call(COMMAND.version, Buffer.concat([new Uint8Array(4), text]));
    await this.map(this.ram.base, this.ram.bytes.length, 3, descriptors);
  }

  map(address: number, size: number, flags = 3, descriptors: readonly number[] = []): Promise<Message> {
    const body = new Uint8Array(DMA_MAP.size);
    DMA_MAP.write(viewOf(body), 0, { argumentSize: DMA_MAP.size, flags, offset: 0, address, size });
    return this.call(COMMAND.dmaMap, body, descriptors);
  }

  /** The whole reply, which may be an error. */
  ask(command: number, body: Uint8Array, descriptors: readonly number[] = []): Promise<Message> {
    const id = this.nextId();
    return new Promise((resolve, reject) => {
      this.replies.set(id, { resolve, reject });
      const message = encodeMessage({ id, command, flags: 0, errno: 0, body });
      if (descriptors.length > 0 && this.pass) this.pass(message, descriptors);
      else this.socket.write(message);
    });
  }

  async call(command: number, body: Uint8Array, descriptors: readonly number[] = []): Promise<Message> {
    const reply = await this.ask(command, body, descriptors);
    if (reply.flags !== REPLY) throw new Error(`command ${command}: error ${reply.errno}`);
    return reply;
  }

  async read(region: number, offset: number, count: number): Promise<Uint8Array> {
    const { body } = await this.call(COMMAND.regionRead, access(region, offset, count));
    return body.subarray(REGION_ACCESS.size);
  }

  async write(region: number, offset: number, bytes: Uint8Array): Promise<void> {
    await this.call(COMMAND.regionWrite, Buffer.concat([access(region, offset, bytes.length), bytes]));
  }

  /** A write that nobody waits for, as QEMU sends those to a BAR. */
  post(region: number, offset: number, bytes: Uint8Array): void {
    const body = Buffer.concat([access(region, offset, bytes.length), bytes]);
    this.socket.write(
      encodeMessage({ id: this.nextId(), command: COMMAND.regionWrite, flags: NO_REPLY, errno: 0, body }),
    );
  }

  /** Answers what was asked while `serving` was unset. */
  resume(): void {
    this.serving = true;
    for (const message of this.held.splice(0)) this.serve(message);
  }

  private receive(message: Message): void {
    if (message.flags & REPLY) {
      this.replies.get(message.id)?.resolve(message);
      this.replies.delete(message.id);
    } else if (this.serving) setImmediate(() => this.serve(message));
    else this.held.push(message);
  }

  private serve({ id, command, body }: Message): void {
    if (!this.socket.writable) return;
    const { address, count } = DMA_ACCESS.read(viewOf(body));
    const head = body.subarray(0, DMA_ACCESS.size);
    this.accesses++;
    // As QEMU does with an answer that is more than a Unix socket takes at once.
    if (command === COMMAND.dmaRead && count > 36 << 10) {
      this.socket.destroy();
      return;
    }
    try {
      const memory = this.ram.slice(address, count);
      if (command === COMMAND.dmaWrite) memory.set(body.subarray(DMA_ACCESS.size));
      const reply = command === COMMAND.dmaRead ? Buffer.concat([head, memory]) : head;
      this.socket.write(encodeMessage({ id, command, flags: REPLY, errno: 0, body: reply }));
    } catch {
      const body = new Uint8Array(0);
      this.socket.write(encodeMessage({ id, command, flags: REPLY | ERROR, errno: EFAULT, body }));
    }
  }

  private nextId(): number {
    this.lastId = (this.lastId + 1) & 0xffff;
    return this.lastId;
  }
}

function access(region: number, offset: number, count: number): Uint8Array {
  const body = new Uint8Array(REGION_ACCESS.size);
  REGION_ACCESS.write(viewOf(body), 0, { region, offset, count });
  return body;
}
