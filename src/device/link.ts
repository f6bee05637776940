import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { asError, ExhumeError } from '../bytes/errors.js';
import type { Native } from './native/native.js';
import type { Watch } from './native/poller.js';

/** What a link hands on. */
export interface LinkReceiver {
  /** How many bytes to get next where that matters: descriptors belong to the message that they come in the midst of. */
  readonly wants: number;
  /** What came. Who gets descriptors closes them. Throws EXH_DEVICE_PROTOCOL, which ends the connection. */
  take(bytes: Uint8Array, descriptors: readonly number[]): void;
  /** The other end has gone, or was sent away for an error. Once. */
  closed(error?: Error): void;
}

/** A connection with a machine. */
export interface Link {
  /** What descriptors take; undefined where none come. */
  readonly native?: Native;
  /** Begins to receive. Once. */
  start(receiver: LinkReceiver): void;
  send(bytes: Uint8Array): void;
  /** Nothing is received between the two. */
  pause(): void;
  resume(): void;
  /** Ends the connection; for an error, if one is given. */
  close(error?: Error): void;
}

/** Unsent bytes after which nothing more is taken from a client that does not read. */
const MOST_UNSENT = 8 << 20;

/** What both kinds of links have. */
abstract class SocketLink<S extends Duplex> implements Link {
  private failure: Error | undefined;
  private held = false;
  private full = false;

  constructor(protected readonly socket: S) {}

  protected abstract begin(receiver: LinkReceiver): void;
  /** Whether anything is to be received now. */
  protected abstract flow(on: boolean): void;
  /** The socket is closed. */
  protected abstract ended(): void;

  start(receiver: LinkReceiver): void {
    const { socket } = this;
    socket.on('drain', () => {
      this.full = false;
      this.adjust();
    });
    socket.on('error', (error) => {
      this.failure ??= error;
    });
    socket.on('close', () => {
      this.ended();
      receiver.closed(this.failure);
    });
    this.begin(receiver);
  }

  send(bytes: Uint8Array): void {
    if (this.socket.destroyed) return;
    this.socket.write(bytes);
    if (this.socket.writableLength <= MOST_UNSENT) return;
    this.full = true;
    this.adjust();
  }

  pause(): void {
    this.held = true;
    this.adjust();
  }

  resume(): void {
    this.held = false;
    this.adjust();
  }

  close(error?: Error): void {
    this.failure ??= error;
    this.socket.destroy();
  }

  protected hand(receiver: LinkReceiver, bytes: Uint8Array, descriptors: readonly number[]): void {
    try {
      receiver.take(bytes, descriptors);
    } catch (error) {
      if (!(error instanceof ExhumeError)) throw error;
      this.close(error);
    }
  }

  private adjust(): void {
    if (!this.socket.destroyed) this.flow(!this.held && !this.full);
  }
}

/** Bytes alone, as Node receives them. */
export class StreamLink extends SocketLink<Duplex> {
  protected begin(receiver: LinkReceiver): void {
    this.socket.on('data', (chunk: Uint8Array) => {
      if (!this.socket.destroyed) this.hand(receiver, chunk, []);
    });
    this.socket.on('end', () => this.socket.end());
  }

  protected flow(on: boolean): void {
    if (on) this.socket.resume();
    else this.socket.pause();
  }

  protected ended(): void {}
}

/** How many messages, roughly, are taken before others have their turn. */
const TURN = 64;

/** Bytes and descriptors. Node writes to the socket, and must never have read from it. */
class PassingLink extends SocketLink<Socket> {
  /** Node closes its own before it says so. */
  private readonly descriptor: number;
  private receiver: LinkReceiver | undefined;
  private watch: Watch | undefined;

  constructor(
    socket: Socket,
    descriptor: number,
    readonly native: Native,
  ) {
    super(socket);
    this.descriptor = native.libc.duplicate(descriptor);
  }

  protected begin(receiver: LinkReceiver): void {
    this.receiver = receiver;
    this.flow(true);
  }

  protected flow(on: boolean): void {
    const { receiver } = this;
    if (on && receiver) {
      this.watch ??= this.native.poller.watch(this.descriptor, () => this.receive(receiver));
    } else {
      this.watch?.end();
      this.watch = undefined;
    }
  }

  protected ended(): void {
    this.flow(false);
    closeSync(this.descriptor);
  }

  private receive(receiver: LinkReceiver): void {
    for (let turns = 0; turns < TURN && this.watch && !this.socket.destroyed; turns++) {
      try {
        const received = this.native.libc.receive(this.descriptor, receiver.wants);
        if (!received) return;
        if (received.bytes.length === 0) this.close();
        else this.hand(receiver, received.bytes, received.descriptors);
        if (received.lost) throw new Error('more descriptors came than can be open');
      } catch (error) {
        this.close(asError(error));
      }
    }
  }
}

/** A link over a socket of a server that pauses on connect. Descriptors come where koffi is. */
export function linkOf(socket: Socket, native: Native | undefined): Link {
  // What Node calls it inside, for as long as there are sockets in it; without it, messages alone are the way.
  const { fd } = (socket as { _handle?: { fd?: unknown } })._handle ?? {};
  return native && typeof fd === 'number' && fd >= 0 ? new PassingLink(socket, fd, native) : new StreamLink(socket);
}
