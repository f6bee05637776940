import { Worker } from 'node:worker_threads';
import { messageOf } from '../../bytes/errors.js';
import { errorFrom } from '../../bytes/plain-error.js';
import type { RecordDescription } from '../../pstore/description.js';
import type { GuestUsage } from '../../pstore/node/store.js';
import type { StoreSettings } from '../../pstore/policy.js';
import type { NewRecord, RecordStore, StoredRecord, Written } from '../../pstore/record-store.js';
import { within } from '../patience.js';
import type { StoreAnswers, StoreQuestion, StoreRequest, StoreResponse, StoreStart } from './messages.js';

/** What those who run a store hear of. */
export interface StoreEvents {
  /** A record is on the disk, and its description beside it. */
  described?(description: RecordDescription, path: string): void;
  /** A write was answered after so many seconds. */
  wrote?(seconds: number): void;
  /** The thread ended by a bug. Another one takes its place. */
  failed?(error: Error): void;
}

/** Requests of one guest that wait for the disk, after which no more are taken. A driver has two under way, one in each queue. */
const MOST_WAITING = 4;
/** Between the beginnings of two threads, in milliseconds. */
const LEAST_LIFE = 1000;

interface Waiting {
  readonly since: number;
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

/**
 * A store in a thread of its own. A disk that is slow or hangs delays the answers of those who ask it, and nothing else.
 * Requests are done one after the other, in the order in which they were made.
 */
export class StoreThread {
  private worker: Worker | undefined;
  private begun = Number.NEGATIVE_INFINITY;
  private ended = false;
  private lastId = 0;
  private readonly waiting = new Map<number, Waiting>();
  private readonly known = new Map<string, GuestUsage>();

  private constructor(
    private start: StoreStart,
    private readonly events: StoreEvents,
    private readonly spawn: (start: StoreStart) => Worker,
  ) {}

  /** Opens a store, and makes it where there is none. Rejects with EXH_IO, EXH_USAGE. */
  static async open(start: StoreStart, events: StoreEvents = {}, spawn = newWorker): Promise<StoreThread> {
    const thread = new StoreThread(start, events, spawn);
    try {
      await thread.ask({ kind: 'begin' });
    } catch (error) {
      await thread.terminate();
      throw error;
    }
    return thread;
  }

  /** One guest's records. Rejects with EXH_USAGE, EXH_IO. */
  async guest(name: string): Promise<RecordStore> {
    await this.ask({ kind: 'guest', guest: name });
    return new ThreadRecords(this, name);
  }

  configure(settings: StoreSettings): void {
    this.start = { ...this.start, settings };
    this.worker?.postMessage({ kind: 'configure', settings } satisfies StoreRequest);
  }

  /** What each guest has on the disk, as of the last change. */
  get usage(): ReadonlyMap<string, GuestUsage> {
    return this.known;
  }

  /** How much waits for the disk: requests, and for how many seconds the oldest one has. */
  get backlog(): { readonly requests: number; readonly seconds: number } {
    const [oldest] = this.waiting.values();
    return { requests: this.waiting.size, seconds: oldest ? (performance.now() - oldest.since) / 1000 : 0 };
  }

  /** Waits until all that was asked is done, at most so many milliseconds; then ends the thread. Answers whether it was. */
  async end(patience: number): Promise<boolean> {
    const done = this.ask({ kind: 'end' }).then(
      () => true,
      () => false,
    );
    const outcome = await within(done, patience, false);
    await this.terminate();
    return outcome;
  }

  /** Rejects with what went wrong; that is the disk, or the thread has ended. */
  async ask<Q extends StoreQuestion>(question: Q): Promise<StoreAnswers[Q['kind']]> {
    const worker = this.running();
    const id = ++this.lastId;
    const since = performance.now();
    const answer = await new Promise<unknown>((resolve, reject) => {
      this.waiting.set(id, { since, resolve, reject });
      worker.postMessage({ id, ...question } satisfies StoreRequest);
    });
    if (question.kind === 'write') this.events.wrote?.((performance.now() - since) / 1000);
    return answer as StoreAnswers[Q['kind']];
  }

  tell(request: Extract<StoreRequest, { kind: 'reset' | 'close' }>): void {
    this.worker?.postMessage(request);
  }

  private running(): Worker {
    if (this.worker !== undefined) return this.worker;
    const now = performance.now();
    if (this.ended || now - this.begun < LEAST_LIFE) throw new Error('the thread of the store has ended');
    this.begun = now;
    const worker = this.spawn(this.start);
    let error: Error | undefined;
    worker.on('message', (response: StoreResponse) => this.receive(response));
    worker.on('error', (failure) => {
      error = failure;
    });
    worker.on('exit', (code) => {
      this.worker = undefined;
      const failure = error ?? new Error(`the thread of the store ended with status ${code}`);
      for (const { reject } of this.waiting.values()) reject(failure);
      this.waiting.clear();
      if (!this.ended) this.events.failed?.(failure);
    });
    this.worker = worker;
    return worker;
  }

  private receive(response: StoreResponse): void {
    if ('described' in response) {
      this.events.described?.(response.described, response.path);
    } else if ('usage' in response) {
      for (const [guest, usage] of response.usage) this.known.set(guest, usage);
    } else {
      const waiting = this.waiting.get(response.id);
      this.waiting.delete(response.id);
      if ('error' in response) waiting?.reject(errorFrom(response.error));
      else waiting?.resolve(response.answer);
    }
  }

  private async terminate(): Promise<void> {
    this.ended = true;
    await this.worker?.terminate();
  }
}

function newWorker(start: StoreStart): Worker {
  return new Worker(new URL('./store-worker.js', import.meta.url), { workerData: start });
}

/** One guest's records in the thread. What a guest can make wait there is bounded. */
class ThreadRecords implements RecordStore {
  private waiting = 0;
  /** Nothing to be told of again: a guest may reset its device without an end. */
  private atRest = false;
  private passing = false;

  constructor(
    private readonly thread: StoreThread,
    private readonly guest: string,
  ) {}

  reset(): void {
    if (!this.atRest) this.thread.tell({ kind: 'reset', guest: this.guest });
    this.atRest = true;
    this.passing = false;
  }

  close(): void {
    if (this.passing) this.thread.tell({ kind: 'close', guest: this.guest });
    this.passing = false;
  }

  open(): Promise<boolean> {
    return this.ask({ kind: 'open', guest: this.guest }, () => false);
  }

  next(most: number): Promise<StoredRecord | undefined> {
    return this.ask({ kind: 'next', guest: this.guest, most }, () => undefined);
  }

  write(record: NewRecord, again = false): Promise<Written> {
    return this.ask({ kind: 'write', guest: this.guest, record, again }, (problem) => {
      return problem === undefined ? { error: 'busy' } : { error: 'io', problem };
    });
  }

  erase(type: number, id: number): Promise<boolean> {
    return this.ask({ kind: 'erase', guest: this.guest, type, record: id }, () => false);
  }

  /** @param otherwise the answer when too much waits, or else because of a problem */
  private async ask<Q extends StoreQuestion>(
    question: Q,
    otherwise: (problem?: string) => StoreAnswers[Q['kind']],
  ): Promise<StoreAnswers[Q['kind']]> {
    if (this.waiting >= MOST_WAITING) return otherwise();
    this.atRest = false;
    if (question.kind === 'open') this.passing = true;
    this.waiting++;
    try {
      return await this.thread.ask(question);
    } catch (error) {
      return otherwise(messageOf(error));
    } finally {
      this.waiting--;
    }
  }
}
