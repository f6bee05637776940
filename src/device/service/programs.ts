import { Worker } from 'node:worker_threads';

/** A program to run. No shell is involved. */
export interface ProgramCall {
  readonly program: string;
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** How long it may run, in milliseconds. */
  readonly patience: number;
}

export type ProgramRequest = (ProgramCall & { readonly id: number }) | 'kill';

export interface ProgramResponse {
  readonly id: number;
  /** What went wrong. */
  readonly problem: string | undefined;
}

/** Programs that are started by a thread of their own. The thread begins with the first one. */
export class Programs {
  private worker: Worker | undefined;
  private lastId = 0;
  private readonly waiting = new Map<number, (problem: string | undefined) => void>();

  /** Runs one to its end, and answers what went wrong. Never rejects. */
  run(call: ProgramCall): Promise<string | undefined> {
    const worker = this.started();
    const id = ++this.lastId;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      worker.postMessage({ ...call, id } satisfies ProgramRequest);
    });
  }

  /** Ends those that run, and with them their children. */
  kill(): void {
    this.worker?.postMessage('kill' satisfies ProgramRequest);
  }

  async end(): Promise<void> {
    await this.worker?.terminate();
  }

  private started(): Worker {
    if (this.worker !== undefined) return this.worker;
    const worker = new Worker(new URL('./programs-worker.js', import.meta.url));
    worker.on('message', ({ id, problem }: ProgramResponse) => this.answer(id, problem));
    let problem = 'the thread that starts programs ended';
    worker.on('error', (error) => {
      problem = error.message;
    });
    worker.on('exit', () => {
      this.worker = undefined;
      for (const id of this.waiting.keys()) this.answer(id, problem);
    });
    this.worker = worker;
    return worker;
  }

  private answer(id: number, problem: string | undefined): void {
    this.waiting.get(id)?.(problem);
    this.waiting.delete(id);
  }
}
