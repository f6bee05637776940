/** The host's side of virtio-pstore: `exhume device` as people run it, one process for any number of guests. */

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeviceEvent } from '../src/device/log-events.js';
import { EXHUME } from './exhume.js';
import { LabError } from './shell.js';

const START_SECONDS = 60;
const LOOK_MILLISECONDS = 25;

/** Something that guests' devices connect to. */
export interface Host {
  socket(guest: string): string;
  /** Ends it in order. */
  stop(): Promise<void>;
  kill(): Promise<void>;
}

export class PstoreHost implements Host {
  /** What the process told on its standard output, oldest first. */
  readonly events: DeviceEvent[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  #end: string | undefined;
  #errors = '';
  #killed = false;

  private constructor(
    private readonly directory: string,
    guests: readonly string[],
    options: readonly string[],
    environment: NodeJS.ProcessEnv,
  ) {
    const sockets = guests.flatMap((guest) => ['--socket', this.socket(guest)]);
    const words = [EXHUME, 'device', '--dir', this.store(), ...sockets, ...options];
    // It does not outlive the lab, however that ends.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.#child = child;
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    createInterface({ input: child.stdout }).on('line', (line) => this.events.push(JSON.parse(line)));
    this.#ended = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#end = how;
        resolve(how);
      };
      child.on('error', (error) => end(error.message));
      child.on('close', (status, signal) => end(`${status ?? signal}`));
    });
  }

  /** Starts it on a directory that exists, and waits until it listens to all guests. */
  static async start(
    directory: string,
    guests: readonly string[],
    options: readonly string[] = [],
    environment: NodeJS.ProcessEnv = {},
  ): Promise<PstoreHost> {
    const host = new PstoreHost(directory, guests, options, environment);
    for (const guest of guests) await host.waitFor(guest, 'listening', START_SECONDS);
    return host;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  socket(guest: string): string {
    return join(this.directory, `${guest}.sock`);
  }

  /** The store, or a guest's directory in it. */
  store(guest = ''): string {
    return join(this.directory, 'store', guest);
  }

  /** What it told of one kind about a guest. */
  told<E extends DeviceEvent['event']>(guest: string, event: E): Extract<DeviceEvent, { event: E }>[] {
    return this.events.filter((one): one is Extract<DeviceEvent, { event: E }> => {
      return one.guest === guest && one.event === event;
    });
  }

  async waitFor(guest: string, event: DeviceEvent['event'], seconds: number): Promise<void> {
    const deadline = Date.now() + seconds * 1000;
    while (this.told(guest, event).length === 0) {
      if (this.#end !== undefined) throw new LabError(`exhume device ended (${this.#end}): ${this.#errors.trim()}`);
      if (Date.now() > deadline) throw new LabError(`exhume device told of no ${event} of ${guest} in ${seconds} s`);
      await sleep(LOOK_MILLISECONDS);
    }
  }

  /** Ends it in order. Unless it was killed it must have lived until now, and say nothing on its standard error. */
  async stop(): Promise<void> {
    if (this.#killed) return;
    this.#child.kill('SIGTERM');
    const end = await this.#ended;
    if (end !== '0' || this.#errors !== '') throw new LabError(`exhume device ended (${end}): ${this.#errors.trim()}`);
  }

  /** Kills it, as the machine's out-of-memory killer would. */
  async kill(): Promise<void> {
    this.#killed = true;
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
