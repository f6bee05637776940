import { hex } from '../../bytes/address.js';
import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { Message } from './message.js';
import { COMMAND, DMA_ACCESS, ERROR, MOST_ASKED } from './protocol.js';

/** How long the client may take to answer, in milliseconds. A stopped machine does not answer, and is not waited for. */
const PATIENCE = 10_000;

interface Waiting {
  readonly message: Message;
  resolve(body: Uint8Array): void;
  reject(error: Error): void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Guest memory that is reached by asking the client for it: DMA_READ and DMA_WRITE messages. This works whether or not
 * the machine's memory is shared. The client answers in its own time, so nothing that it waits for may wait for this.
 * Rejections are EXH_DEVICE_MEMORY.
 */
export class DmaMessages {
  /** The most data in one message. */
  mostData = MOST_ASKED;
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;
  private closed = false;

  constructor(
    private readonly send: (message: Message) => void,
    private readonly patience = PATIENCE,
  ) {}

  async read(address: number, into: Uint8Array): Promise<void> {
    await this.inPieces(address, into, async (at, piece) => {
      const reply = await this.ask(COMMAND.dmaRead, at, piece.length, new Uint8Array(0));
      if (reply.length !== DMA_ACCESS.size + piece.length) throw refused(at, `${reply.length} bytes came back`);
      piece.set(reply.subarray(DMA_ACCESS.size));
    });
  }

  async write(address: number, bytes: Uint8Array): Promise<void> {
    await this.inPieces(address, bytes, async (at, piece) => {
      await this.ask(COMMAND.dmaWrite, at, piece.length, piece);
    });
  }

  /** A reply of the client. One that nobody waits for (any longer) is passed over. */
  answered({ id, command, flags, errno, body }: Message): void {
    const asked = this.waiting.get(id);
    if (!asked || asked.message.command !== command) return;
    this.forget(id, asked);
    if (flags & ERROR) asked.reject(refused(addressOf(asked.message), `error ${errno}`));
    else asked.resolve(body);
  }

  /** The client is gone: whoever waits is told. */
  close(): void {
    this.closed = true;
    for (const [id, asked] of this.waiting) {
      this.forget(id, asked);
      asked.reject(refused(addressOf(asked.message), 'it has gone'));
    }
  }

  private async inPieces(
    address: number,
    bytes: Uint8Array,
    move: (at: number, piece: Uint8Array) => Promise<void>,
  ): Promise<void> {
    for (let done = 0; done < bytes.length; done += this.mostData) {
      await move(address + done, bytes.subarray(done, done + this.mostData));
    }
  }

  private ask(command: number, address: number, count: number, data: Uint8Array): Promise<Uint8Array> {
    if (this.closed) return Promise.reject(refused(address, 'it has gone'));
    const body = new Uint8Array(DMA_ACCESS.size + data.length);
    DMA_ACCESS.write(viewOf(body), 0, { address, count });
    body.set(data, DMA_ACCESS.size);
    do this.lastId = (this.lastId + 1) & 0xffff;
    while (this.waiting.has(this.lastId));
    const message: Message = { id: this.lastId, command, flags: 0, errno: 0, body };
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(message.id);
        reject(refused(address, 'no answer'));
      }, this.patience);
      this.waiting.set(message.id, { message, resolve, reject, timer });
      this.send(message);
    });
  }

  private forget(id: number, { timer }: Waiting): void {
    this.waiting.delete(id);
    clearTimeout(timer);
  }
}

function addressOf(message: Message): number {
  return DMA_ACCESS.read(viewOf(message.body)).address;
}

function refused(address: number, why: string): ExhumeError {
  const message = `the machine did not move memory at ${hex(address)}: ${why}`;
  return new ExhumeError('EXH_DEVICE_MEMORY', message, { address });
}
