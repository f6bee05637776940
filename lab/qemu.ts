/** One running guest: its serial console, and QEMU's monitor (QMP). */

import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { Duplex, type Readable, type Writable } from 'node:stream';
import type { Command } from './chroot.js';
import { LabError } from './shell.js';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

interface Reply {
  readonly id: number;
  readonly result: Json;
  readonly error: string | undefined;
}

/** The serial console's descriptor in QEMU: a socket that it inherits. */
export const SERIAL_ARGUMENTS = ['-chardev', 'socket,id=serial,fd=3'];

export class Guest {
  readonly #child: ChildProcess;
  readonly #monitor: Writable;
  readonly #log: WriteStream;
  readonly #ended: Promise<string>;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #wake: () => void = () => {};
  #console = '';
  #errors = '';
  #end: string | undefined;
  #lastId = 0;

  /** Starts QEMU; the console is kept in `serialLog` as it comes. */
  constructor(command: Command, serialLog: string) {
    // A guest does not outlive the lab, however that ends.
    const args = ['--pdeathsig', 'KILL', command.command, ...command.args];
    const child = spawn('setpriv', args, { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
    this.#child = child;
    this.#monitor = child.stdin;
    this.#log = createWriteStream(serialLog);
    const serial = child.stdio[3];
    if (!(serial instanceof Duplex)) throw new LabError('no serial channel');
    serial.on('data', (chunk: Buffer) => {
      this.#log.write(chunk);
      this.#console += chunk.toString('latin1');
      this.#wake();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    // When QEMU dies its channels break; its end is what is reported.
    for (const stream of [serial, child.stdin]) stream.on('error', () => {});
    this.#readReplies(child.stdout);
    this.#ended = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#end = `QEMU ended (${how}): ${this.#errors.trim()}`;
        this.#wake();
        for (const answer of this.#waiting.values()) answer({ id: 0, result: null, error: this.#end });
        resolve(this.#end);
      };
      child.on('error', (error) => end(error.message));
      child.on('close', (status, signal) => end(`${status ?? signal}`));
    });
  }

  get console(): string {
    return this.#console;
  }

  /** Waits until the console shows the marker; fails when QEMU ends or the time is over. */
  async waitFor(marker: string | RegExp, timeoutSeconds: number): Promise<void> {
    const deadline = Date.now() + timeoutSeconds * 1000;
    const seen = (): boolean =>
      typeof marker === 'string' ? this.#console.includes(marker) : marker.test(this.#console);
    while (!seen()) {
      const failed = /^@@ failed: .*$/m.exec(this.#console)?.[0];
      if (failed !== undefined) throw new LabError(`the guest says: ${failed}`);
      if (this.#end !== undefined) throw new LabError(this.#end);
      const left = deadline - Date.now();
      if (left <= 0)
        throw new LabError(`no ${marker} on the console in ${timeoutSeconds} s; it ends with:\n${this.#tail()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** A QMP command. */
  async execute(command: string, args: { readonly [key: string]: Json } = {}): Promise<Json> {
    if (this.#end !== undefined) throw new LabError(this.#end);
    const id = ++this.#lastId;
    const reply = await new Promise<Reply>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#monitor.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
    this.#waiting.delete(id);
    if (reply.error !== undefined) throw new LabError(`QMP ${command}: ${reply.error}`);
    return reply.result;
  }

  /** A command of the human monitor. */
  async monitor(commandLine: string): Promise<string> {
    const text = await this.execute('human-monitor-command', { 'command-line': commandLine });
    return typeof text === 'string' ? text.replaceAll('\r\n', '\n') : '';
  }

  /** Ends QEMU and waits until it is gone. */
  async quit(): Promise<void> {
    this.#child.stdin?.end();
    if (this.#end === undefined) this.#child.kill('SIGKILL');
    await this.#ended;
    await new Promise<void>((resolve) => this.#log.end(resolve));
  }

  #readReplies(stream: Readable): void {
    let pending = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      pending += chunk;
      const lines = pending.split('\n');
      pending = lines.pop() ?? '';
      for (const line of lines) this.#handle(line);
    });
  }

  #handle(line: string): void {
    if (line.trim() === '') return;
    const message: unknown = JSON.parse(line);
    if (!isObject(message)) return;
    if ('QMP' in message) {
      this.#monitor.write(`${JSON.stringify({ execute: 'qmp_capabilities', id: 0 })}\n`);
    } else if (typeof message['id'] === 'number') {
      const error = message['error'];
      this.#waiting.get(message['id'])?.({
        id: message['id'],
        result: message['return'] ?? null,
        error: isObject(error) ? String(error['desc']) : undefined,
      });
    }
  }

  #tail(): string {
    return this.#console.split('\n').slice(-8).join('\n');
  }
}

function isObject(value: unknown): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null;
}
