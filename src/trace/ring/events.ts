import type { Damage } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { EventStream, SubBuffer, TraceBuffer, TraceCpu, TraceEvent } from '../model.js';
import { RecordCursor } from './sub-buffer.js';

export interface ReadOptions {
  /** Only these; undefined: all. */
  readonly cpus?: readonly number[] | undefined;
  /** The byte order of the traced machine; little endian where it isn't told. */
  readonly littleEndian?: boolean | undefined;
}

/** The events of a buffer, and what of it could not be read: known once the events were read. */
export interface MergedEvents extends EventStream {
  readonly damage: readonly Damage[];
}

/** So many broken sub-buffers are told one by one; there may be millions. */
const MOST_DAMAGE = 16;
const SECOND = 1_000_000_000n;
/** Below it, times are exact with room to grow by a hundred days of nanoseconds. */
const SMALL = 2n ** 52n;
/** `struct trace_entry`: u16 type, u8 flags, u8 preempt_count, s32 pid. No event is shorter. */
const ENTRY_BYTES = 8;

/**
 * The events of a buffer, merged by time over its CPUs; at the same time the lower CPU comes first, as in the kernel.
 * Holds two sub-buffers of each CPU. Each iteration reads the buffer anew; `following` is about the one begun last.
 */
export function readEvents(buffer: TraceBuffer, options: ReadOptions = {}): MergedEvents {
  const { cpus, littleEndian = true } = options;
  const wanted = buffer.cpus.filter(({ cpu }) => cpus === undefined || cpus.includes(cpu));
  const base = baseOf(wanted);
  const damage: Damage[] = [];
  let latest: MergedIterator | undefined;
  return {
    base,
    damage,
    following: () => latest?.top?.following(),
    skipFollowing: () => latest?.top?.skipFollowing(),
    [Symbol.iterator]: () => {
      damage.length = 0;
      latest = new MergedIterator(wanted, base, littleEndian, damage);
      return latest;
    },
  };
}

/** From which time on the kernel shows a buffer's events, since `base`: older ones were there before the buffer began. */
export function shownFrom({ timeStart }: TraceBuffer, base: bigint): number {
  return Number((timeStart ?? 0n) - base);
}

/** 0 where that keeps times exact, else the first second of the trace. */
function baseOf(cpus: readonly TraceCpu[]): bigint {
  let first: bigint | undefined;
  let last = 0n;
  for (const cpu of cpus) {
    for (const { timestamp } of cpu.subBuffers()) {
      if (first === undefined || timestamp < first) first = timestamp;
      if (timestamp > last) last = timestamp;
      break;
    }
  }
  return first === undefined || last < SMALL ? 0n : first - (first % SECOND);
}

class Event implements TraceEvent {
  type = 0;
  pid = 0;
  lost = 0;
  time = 0;
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = viewOf(this.bytes);
  start = 0;
  length = 0;

  constructor(readonly cpu: number) {}
}

/** The events of one CPU. */
class CpuEvents {
  current: Event;
  private ahead: Event;
  private hasAhead = false;
  private readonly cursor: RecordCursor;
  private readonly subBuffers: Iterator<SubBuffer>;
  private pendingLost = 0;

  constructor(
    readonly cpu: number,
    subBuffers: Iterable<SubBuffer>,
    base: bigint,
    private readonly littleEndian: boolean,
    private readonly damage: Damage[],
  ) {
    this.current = new Event(cpu);
    this.ahead = new Event(cpu);
    this.cursor = new RecordCursor(base, littleEndian);
    this.subBuffers = subBuffers[Symbol.iterator]();
  }

  next(): boolean {
    if (!this.hasAhead) return this.read(this.current);
    const { current } = this;
    this.current = this.ahead;
    this.ahead = current;
    this.hasAhead = false;
    return true;
  }

  following(): Event | undefined {
    this.hasAhead ||= this.read(this.ahead);
    return this.hasAhead ? this.ahead : undefined;
  }

  skipFollowing(): void {
    this.following();
    this.hasAhead = false;
  }

  private read(into: Event): boolean {
    const { cursor } = this;
    for (;;) {
      if (!cursor.next()) {
        if (!this.nextSubBuffer()) return false;
      } else if (cursor.length >= ENTRY_BYTES) {
        break;
      } else {
        this.tell(`at ${cursor.start}: a record of ${cursor.length} bytes, too few for an event`);
      }
    }
    const { view, start } = cursor;
    into.time = cursor.time;
    into.bytes = cursor.bytes;
    into.view = view;
    into.start = start;
    into.length = cursor.length;
    into.type = view.getUint16(start, this.littleEndian);
    into.pid = view.getInt32(start + 4, this.littleEndian);
    into.lost = this.pendingLost;
    this.pendingLost = 0;
    return true;
  }

  private nextSubBuffer(): boolean {
    const { cursor } = this;
    if (cursor.broken !== undefined) this.tell(`at ${cursor.broken.offset}: ${cursor.broken.message}`);
    const { value, done } = this.subBuffers.next();
    if (done === true) return false;
    cursor.open(value, this.current.bytes);
    if (value.lost !== 0) this.pendingLost = value.lost;
    return true;
  }

  private tell(message: string): void {
    if (this.damage.length < MOST_DAMAGE) {
      this.damage.push({ code: 'EXH_BAD_STRUCTURE', part: `trace of CPU ${this.cpu}`, message });
    }
  }
}

/** A heap of the CPUs by their next event. The one given last moves on only when the next is asked for. */
class MergedIterator implements Iterator<TraceEvent> {
  private readonly heap: CpuEvents[] = [];
  private given = false;
  private readonly result: { done: false; value: TraceEvent } | undefined;

  constructor(cpus: readonly TraceCpu[], base: bigint, littleEndian: boolean, damage: Damage[]) {
    for (const cpu of cpus) {
      const events = new CpuEvents(cpu.cpu, cpu.subBuffers(), base, littleEndian, damage);
      if (events.next()) this.heap.push(events);
    }
    for (let at = (this.heap.length >> 1) - 1; at >= 0; at--) this.sink(at);
    const [first] = this.heap;
    this.result = first && { done: false, value: first.current };
  }

  /** Whose event was given last. */
  get top(): CpuEvents | undefined {
    return this.heap[0];
  }

  next(): IteratorResult<TraceEvent, undefined> {
    const { heap, result } = this;
    if (this.given) this.advance();
    this.given = true;
    const top = heap[0];
    if (top === undefined || result === undefined) return { done: true, value: undefined };
    result.value = top.current;
    return result;
  }

  private advance(): void {
    const { heap } = this;
    const top = heap[0];
    if (top === undefined) return;
    if (!top.next()) {
      const last = heap.pop();
      if (last === undefined || heap.length === 0) return;
      heap[0] = last;
    }
    this.sink(0);
  }

  private sink(at: number): void {
    const { heap } = this;
    const { length } = heap;
    const moving = heap[at];
    if (moving === undefined) return;
    for (let child = 2 * at + 1; child < length; child = 2 * at + 1) {
      let best = heap[child];
      const right = heap[child + 1];
      if (best !== undefined && right !== undefined && before(right, best)) {
        best = right;
        child++;
      }
      if (best === undefined || !before(best, moving)) break;
      heap[at] = best;
      at = child;
    }
    heap[at] = moving;
  }
}

function before({ current: a }: CpuEvents, { current: b }: CpuEvents): boolean {
  return a.time < b.time || (a.time === b.time && a.cpu < b.cpu);
}
