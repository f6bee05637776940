/** QEMU's gdbstub, as far as it takes to stop a guest at an instruction. */

import { connect, type Socket } from 'node:net';
import { LabError } from '../shell.js';

/** A CPU is at the breakpoint (SIGTRAP). */
const REACHED = /^T05/;
/** It says so by itself, also of the stop that comes with a connection. */
const STOPPED = /^[ST][0-9a-f]{2}/;

/** Stops the guest when any CPU comes to the address; resolves then. The guest must run. */
export class Breakpoint {
  readonly #socket: Socket;
  readonly #address: string;
  readonly #replies: string[] = [];
  #received = '';
  #wake: () => void = () => {};
  #closed = false;

  private constructor(socket: Socket, address: bigint) {
    this.#socket = socket;
    this.#address = address.toString(16);
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#take(text));
    for (const end of ['close', 'error'] as const) {
      socket.on(end, () => {
        this.#closed = true;
        this.#wake();
      });
    }
  }

  /** Connects, which stops the guest, sets the breakpoint, and has the guest go on. */
  static async set(path: string, address: bigint): Promise<Breakpoint> {
    const breakpoint = new Breakpoint(connect(path), address);
    await breakpoint.#ask('?', STOPPED);
    // Of the hardware's kind: nothing is written into the guest's memory.
    await breakpoint.#ask(`Z1,${breakpoint.#address},1`, /^OK$/);
    breakpoint.#send('c');
    return breakpoint;
  }

  /** Waits until a CPU is there. The guest is stopped then. */
  async reached(timeoutSeconds: number): Promise<void> {
    await this.#reply(REACHED, timeoutSeconds);
  }

  /** Takes the breakpoint away and has the guest go on. */
  async release(): Promise<void> {
    await this.#ask(`z1,${this.#address},1`, /^OK$/);
    this.#send('c');
    this.#socket.end();
  }

  async #ask(command: string, wanted: RegExp): Promise<void> {
    this.#send(command);
    await this.#reply(wanted, 30);
  }

  #send(command: string): void {
    let sum = 0;
    for (const byte of Buffer.from(command)) sum = (sum + byte) & 0xff;
    this.#socket.write(`$${command}#${sum.toString(16).padStart(2, '0')}`);
  }

  #take(text: string): void {
    this.#received += text;
    for (;;) {
      const packet = /\$([^#]*)#[0-9a-f]{2}/.exec(this.#received);
      if (packet === null) break;
      this.#received = this.#received.slice(packet.index + packet[0].length);
      this.#socket.write('+');
      this.#replies.push(packet[1] ?? '');
    }
    this.#wake();
  }

  async #reply(wanted: RegExp, timeoutSeconds: number): Promise<void> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake();
    }, timeoutSeconds * 1000);
    try {
      for (;;) {
        const reply = this.#replies.shift();
        if (reply !== undefined) {
          if (wanted.test(reply)) return;
          if (STOPPED.test(reply)) continue;
          throw new LabError(`QEMU's gdbstub says ${reply}`);
        }
        if (this.#closed) throw new LabError("QEMU's gdbstub is gone");
        if (late) throw new LabError(`no word of QEMU's gdbstub in ${timeoutSeconds} s`);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }
}
