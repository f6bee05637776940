import { closeSync, writeSync } from 'node:fs';
import type { Libc } from './libc.js';

/** Something that is waited for. */
export interface Watch {
  /** Nothing more is told. The descriptor may be closed after this, not before. */
  end(): void;
}

const ONE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);

/**
 * Tells when something happens to descriptors, any number of them with one thread of libuv's pool. While there is
 * something to wait for, the process goes on.
 */
export class Poller {
  private readonly handlers = new Map<number, () => void>();
  private lastToken = 0;
  private open: { readonly epoll: number; readonly wake: number } | undefined;

  constructor(private readonly libc: Libc) {}

  /** Throws an Error for what cannot be waited for. `edge`: told once for each event; nobody has to read it away. */
  watch(descriptor: number, happened: () => void, { edge = false } = {}): Watch {
    const { epoll } = this.opened();
    const token = this.nextToken();
    this.libc.watch(epoll, descriptor, token, edge);
    this.handlers.set(token, happened);
    return {
      end: () => {
        if (!this.handlers.delete(token)) return;
        this.libc.unwatch(epoll, descriptor);
        if (this.handlers.size === 0) this.close();
      },
    };
  }

  private opened() {
    if (this.open) return this.open;
    const epoll = this.libc.newEpoll();
    const wake = this.libc.newEvent();
    // 0 is not given to anybody: it ends the wait.
    this.libc.watch(epoll, wake, 0, false);
    const open = { epoll, wake };
    this.open = open;
    void this.run(open);
    return open;
  }

  /** The thread that waits is woken, and the last one that leaves closes. */
  private close(): void {
    if (this.open) writeSync(this.open.wake, ONE);
    this.open = undefined;
  }

  private async run(open: { readonly epoll: number; readonly wake: number }): Promise<void> {
    // A process ends its threads before it ends, and this one waits.
    const leave = () => writeSync(open.wake, ONE);
    process.on('exit', leave);
    while (this.open === open) {
      for (const token of await this.libc.wait(open.epoll)) this.handlers.get(token)?.();
    }
    process.off('exit', leave);
    closeSync(open.epoll);
    closeSync(open.wake);
  }

  private nextToken(): number {
    do this.lastToken = (this.lastToken + 1) >>> 0;
    while (this.lastToken === 0 || this.handlers.has(this.lastToken));
    return this.lastToken;
  }
}
