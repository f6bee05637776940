import { join } from 'node:path';
import type { RecordDescription } from '../../pstore/description.js';
import { Programs } from './programs.js';

/** Records for which the command has not run yet; further ones are passed over. */
const MOST_WAITING = 256;
/** How long it may run, in milliseconds. */
const PATIENCE = 60_000;

export interface HookEvents {
  done(guest: string): void;
  failed(guest: string, file: string, error: string): void;
  /** Too many were waiting. */
  skipped(guest: string, file: string): void;
}

interface Call {
  readonly description: RecordDescription;
  /** Of the description. */
  readonly path: string;
}

/**
 * A command that runs for each finished record, one after the other. It gets the path of the record's description as its
 * last argument, and what that says in its environment. No shell is involved, and nothing of what it gets but the reason,
 * which is letters and blanks, is the guest's.
 */
export class RecordHook {
  private readonly calls: Call[] = [];
  private running: Promise<void> | undefined;
  private readonly programs = new Programs();

  constructor(
    /** The program and its first arguments; undefined: nothing is run. */
    public command: readonly string[] | undefined,
    private readonly events: HookEvents,
    private readonly patience = PATIENCE,
  ) {}

  get waiting(): number {
    return this.calls.length;
  }

  push(description: RecordDescription, path: string): void {
    if (this.command === undefined) return;
    if (this.calls.length >= MOST_WAITING) {
      this.events.skipped(description.guest, description.file);
      return;
    }
    this.calls.push({ description, path });
    this.running ??= this.run().finally(() => {
      this.running = undefined;
    });
  }

  /** Waits until all have run, at most so many milliseconds; what is left then is passed over. */
  async end(patience: number): Promise<void> {
    const timer = setTimeout(() => {
      for (const { description } of this.calls.splice(0)) this.events.skipped(description.guest, description.file);
      this.programs.kill();
    }, patience);
    await this.running;
    clearTimeout(timer);
    await this.programs.end();
  }

  private async run(): Promise<void> {
    for (let call = this.calls.shift(); call !== undefined; call = this.calls.shift()) {
      const { guest, file } = call.description;
      const problem = await this.call(call);
      if (problem === undefined) this.events.done(guest);
      else this.events.failed(guest, file, problem);
    }
  }

  /** Answers what went wrong. */
  private async call({ description, path }: Call): Promise<string | undefined> {
    const [program, ...first] = this.command ?? [];
    if (program === undefined) return undefined;
    const words = [...first, path];
    return this.programs.run({ program, words, environment: environment(description, path), patience: this.patience });
  }
}

function environment(description: RecordDescription, path: string): NodeJS.ProcessEnv {
  const { NOTIFY_SOCKET: _, WATCHDOG_USEC: __, WATCHDOG_PID: ___, ...own } = process.env;
  const { guest, type, id, file, time, boot, reason, count, part, method, size, textSize, sha256 } = description;
  const told = { guest, type, id, boot, reason, count, part, method, size, textSize, sha256 };
  const variables = Object.entries(told).map(([name, value]) => [
    `EXHUME_${name.replace(/[A-Z]/g, '_$&').toUpperCase()}`,
    value === null ? '' : String(value),
  ]);
  return {
    ...own,
    ...Object.fromEntries(variables),
    EXHUME_TIME: time.iso,
    EXHUME_RECORD: join(path, '..', file),
    EXHUME_DESCRIPTION: path,
  };
}
