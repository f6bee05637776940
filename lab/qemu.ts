/** One running guest: its serial console, and QEMU's monitor (QMP). */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from './chroot.js';
import { LabError } from './shell.js';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

interface Reply {
  readonly id: number;
  readonly result: Json;
  readonly error: string | undefined;
}

/**
 * The serial console goes into a file, which is then read. QEMU drops characters when a pipe or a socket is full,
 * and the console is the truth that logs are compared to.
 */
export function serialArguments(serialLog: string): string[] {
  return ['-chardev', `file,id=serial,path=${serialLog}`];
}

/** An empty disk of this size, and the arguments for it. */
export function disk(path: string, bytes: number): string[] {
  writeFileSync(path, '');
  truncateSync(path, bytes);
  return drive(path);
}

/** A file that is there, as a disk. */
export function drive(path: string): string[] {
  return ['-drive', `if=virtio,format=raw,cache=unsafe,file=${path}`];
}

const LOOK_MILLISECONDS = 25;
const DUMP_SECONDS = 300;

/** The reply with this id means that the monitor takes commands. */
const GREETING = 0;

export class Guest {
  readonly #child: ChildProcess;
  readonly #monitor: Writable;
  readonly #serialLog: string;
  readonly #greeted: Promise<Reply>;
  readonly #ended: Promise<string>;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #errors = '';
  #end: string | undefined;
  #lastId = 0;

  /** Starts QEMU, whose arguments have the console go into `serialLog`. */
  constructor(command: Command, serialLog: string) {
    this.#serialLog = serialLog;
    writeFileSync(serialLog, '');
    // A guest does not outlive the lab, however that ends.
    const args = ['--pdeathsig', 'KILL', command.command, ...command.args];
    const child = spawn('setpriv', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    this.#monitor = child.stdin;
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    // When QEMU dies its channel breaks; its end is what is reported.
    child.stdin.on('error', () => {});
    this.#greeted = new Promise((resolve) => this.#waiting.set(GREETING, resolve));
    this.#readReplies(child.stdout);
    this.#ended = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#end = `QEMU ended (${how}): ${this.#errors.trim()}`;
        for (const answer of this.#waiting.values()) answer({ id: 0, result: null, error: this.#end });
        resolve(this.#end);
      };
      child.on('error', (error) => end(error.message));
      child.on('close', (status, signal) => end(`${status ?? signal}`));
    });
  }

  /** How QEMU ended, once it did. */
  get ended(): Promise<string> {
    return this.#ended;
  }

  /** QEMU's process. */
  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new LabError('QEMU was not started');
    return pid;
  }

  /** All that the console showed. */
  get console(): string {
    return readFileSync(this.#serialLog, 'latin1');
  }

  /** Waits until the console shows the marker; fails when QEMU ends or the time is over. */
  async waitFor(marker: string | RegExp, timeoutSeconds: number): Promise<void> {
    const deadline = Date.now() + timeoutSeconds * 1000;
    for (;;) {
      const shown = this.console;
      if (typeof marker === 'string' ? shown.includes(marker) : marker.test(shown)) return;
      const failed = /^@@ failed: .*$/m.exec(shown)?.[0];
      if (failed !== undefined) throw new LabError(`the guest says: ${failed}`);
      if (this.#end !== undefined) throw new LabError(this.#end);
      if (Date.now() > deadline) {
        const tail = shown.split('\n').slice(-8).join('\n');
        throw new LabError(`no ${marker} on the console in ${timeoutSeconds} s; it ends with:\n${tail}`);
      }
      await sleep(LOOK_MILLISECONDS);
    }
  }

  /** A QMP command. */
  async execute(command: string, args: { readonly [key: string]: Json } = {}): Promise<Json> {
    await this.#greeted;
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

  /** Looks at the registers of the stopped guest, and lets it run on, until all CPUs are as wanted. */
  async catch(wanted: (cpus: readonly string[]) => boolean): Promise<void> {
    for (let look = 0; look < 200; look++) {
      await sleep(50);
      await this.execute('stop');
      const registers = await this.monitor('info registers -a');
      if (wanted(registers.split(/^CPU#\d+/m).slice(1))) return;
      await this.execute('cont');
    }
    throw new LabError('the CPUs were never in the wanted state');
  }

  /** Has QEMU write a dump of the guest's memory. */
  async dump(path: string, format: string, paging = false): Promise<void> {
    const answer = this.execute('dump-guest-memory', { paging, protocol: `file:${path}`, format });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new LabError(`dump-guest-memory ${format} takes too long`)), DUMP_SECONDS * 1000);
    });
    try {
      await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends QEMU and waits until it is gone. */
  async quit(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#end === undefined) this.#child.kill(signal);
    this.#child.stdin?.end();
    await this.#ended;
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
      this.#monitor.write(`${JSON.stringify({ execute: 'qmp_capabilities', id: GREETING })}\n`);
    } else if (typeof message['id'] === 'number') {
      const error = message['error'];
      this.#waiting.get(message['id'])?.({
        id: message['id'],
        result: message['return'] ?? null,
        error: isObject(error) ? String(error['desc']) : undefined,
      });
    }
  }
}

function isObject(value: unknown): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null;
}
