import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { errorFrom } from '../../bytes/plain-error.js';
import { nodeEncoder } from '../../codecs/node.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import { PageWorker } from '../page-worker.js';
import type { Packed, PackSettings, PackTask, Scanned, ScanTask, Task } from '../tasks.js';
import type { Request, Response, SharedInput, ThreadData } from './messages.js';

/** Those who do the tasks of a conversion. */
export interface Crew {
  /** So many tasks given at once keep all of them busy. */
  readonly depth: number;
  /** How pages are to be packed, from the next task on. */
  configure(settings: PackSettings): void;
  /** Does a task. The buffer of a PackTask is gone until the result brings it back. Rejects with what went wrong. */
  run(task: PackTask): Promise<Packed>;
  run(task: ScanTask): Promise<Scanned>;
  /** Ends in order what is being done; what was not done by then is rejected. */
  close(): Promise<void>;
}

/** All in this thread. */
export class SingleCrew implements Crew {
  readonly depth = 1;
  private readonly worker: PageWorker;

  constructor(memory: PhysicalMemory) {
    this.worker = new PageWorker(memory);
  }

  configure(settings: PackSettings): void {
    const { method, level } = settings;
    this.worker.configure(settings, method === undefined ? undefined : nodeEncoder(method, level));
  }

  run(task: PackTask): Promise<Packed>;
  run(task: ScanTask): Promise<Scanned>;
  async run(task: Task): Promise<Packed | Scanned> {
    // Signals and progress have their turn.
    await setImmediate();
    return this.worker.run(task);
  }

  async close(): Promise<void> {}
}

/** One task is being done, the next one lies ready, and one is on its way back. */
const TASKS_PER_WORKER = 3;

/** What a thread may take for JavaScript objects, in MiB: pages are in buffers of their own. */
const LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 };

interface Member {
  readonly worker: Worker;
  readonly ended: Promise<void>;
  readonly pending: Map<number, { resolve(result: Packed | Scanned): void; reject(error: unknown): void }>;
}

/** Worker threads. They start at once, and open the input by themselves. */
export class ThreadCrew implements Crew {
  readonly depth: number;
  private readonly members: readonly Member[];
  private nextId = 0;
  /** Why no more tasks are done. */
  private failure: unknown;
  /** Not zero: no task is to be begun any more. */
  private readonly ending = new Int32Array(new SharedArrayBuffer(4));

  constructor(input: SharedInput, jobs: number) {
    this.depth = jobs * TASKS_PER_WORKER;
    this.members = Array.from({ length: jobs }, () => this.start(input));
  }

  configure(settings: PackSettings): void {
    for (const { worker } of this.members) worker.postMessage({ kind: 'configure', settings } satisfies Request);
  }

  run(task: PackTask): Promise<Packed>;
  run(task: ScanTask): Promise<Scanned>;
  run(task: Task): Promise<Packed | Scanned> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const idlest = this.members.reduce((best, member) => (member.pending.size < best.pending.size ? member : best));
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      idlest.pending.set(id, { resolve, reject });
      const transfer = task.kind === 'pack' ? [task.buffer] : [];
      idlest.worker.postMessage({ kind: 'task', id, task } satisfies Request, transfer);
    });
  }

  /**
   * Ends the threads: each one after the task that it is at, which takes milliseconds; those behind it are not begun.
   * They are never terminated: where that happens while zlib is being set up, Node aborts the whole process.
   */
  async close(): Promise<void> {
    this.failure ??= new Error('the threads were ended');
    Atomics.store(this.ending, 0, 1);
    await Promise.all(
      this.members.map(({ worker, ended }) => {
        worker.postMessage({ kind: 'end' } satisfies Request);
        return ended;
      }),
    );
  }

  private start(input: SharedInput): Member {
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: { input, ending: this.ending } satisfies ThreadData,
      resourceLimits: LIMITS,
    });
    // Listened to from the start: a thread that broke down has ended before anybody asks for it.
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    const member: Member = { worker, ended, pending: new Map() };
    const fail = (error: unknown): void => {
      this.failure ??= error;
      for (const { reject } of member.pending.values()) reject(error);
      member.pending.clear();
    };
    worker.on('message', (response: Response) => {
      const pending = member.pending.get(response.id);
      member.pending.delete(response.id);
      if ('result' in response) pending?.resolve(response.result);
      else pending?.reject(errorFrom(response.error));
    });
    worker.on('error', fail);
    worker.on('exit', (code) => fail(new Error(`a thread of the conversion ended with status ${code}`)));
    return member;
  }
}
