import { type ByteSource, readUpTo } from '../../bytes/byte-source.js';
import type { Damage } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { attempt } from '../../kernel/collect.js';
import type { SubBuffer, TraceBuffer, TraceCpu, TraceStatistics } from '../model.js';
import { countedStatistics } from './count.js';
import { pageOf } from './page.js';
import { type PersistentChunk, type PersistentLayout, readPersistentLayout } from './persistent-layout.js';

/** `trace_clocks[]` (kernel/trace/trace.c), by the number that a buffer keeps. */
const CLOCKS = ['local', 'global', 'counter', 'uptime', 'perf', 'mono', 'mono_raw', 'boot', 'tai', 'x86-tsc'];

/** A persistent ring buffer, and how it lies. */
export interface PersistentBuffer extends TraceBuffer {
  readonly layout: PersistentLayout;
}

/**
 * The persistent ring buffer that begins at an offset; undefined where none does. What makes a kernel refuse it is told as damage,
 * and read nonetheless.
 * @param instance what the buffer is called, where that is known
 */
export function readPersistentBuffer(source: ByteSource, offset = 0, instance?: string): PersistentBuffer | undefined {
  const layout = readPersistentLayout(source, offset);
  if (layout === undefined) return undefined;
  const damage: Damage[] = [...layout.damage];
  return {
    instance,
    snapshot: false,
    persistent: true,
    tracer: 'nop',
    clock: CLOCKS[layout.clockId ?? 0] ?? 'local',
    options: undefined,
    timeStart: undefined,
    recording: undefined,
    cpus: layout.chunks.map((chunk) => new PersistentRing(source, chunk, damage)),
    damage,
    layout,
  };
}

/** A sub-buffer's header. */
interface Head {
  readonly index: number;
  readonly timestamp: bigint;
  /** Nothing was ever written to it. */
  readonly unused: boolean;
}

/** One CPU's part of a persistent ring buffer. */
class PersistentRing implements TraceCpu {
  readonly cpu: number;
  private counted: TraceStatistics | undefined;
  private indexes: readonly number[] | undefined;

  constructor(
    private readonly source: ByteSource,
    private readonly chunk: PersistentChunk,
    private readonly damage: Damage[],
  ) {
    this.cpu = chunk.cpu;
  }

  /** They aren't kept: as the kernel that starts next, we count. */
  get statistics(): TraceStatistics {
    this.counted ??= countedStatistics(this.subBuffers());
    return this.counted;
  }

  *subBuffers(): Generator<SubBuffer> {
    const { source, chunk } = this;
    const into = new Uint8Array(chunk.size);
    const view = viewOf(into);
    let missed = false;
    this.indexes ??= this.inOrder();
    for (const index of this.indexes) {
      const sub = attempt(this.damage, `trace of CPU ${this.cpu}`, () => {
        const complete = source.read(chunk.offset + index * chunk.size, into) === chunk.size;
        return complete ? pageOf(into, view, true) : undefined;
      });
      if (sub === undefined) {
        this.tell(`sub-buffer ${index} is not whole, or says that it holds more than it can`);
        missed = true;
      } else if (sub.data.length > 0) {
        yield missed && sub.lost === 0 ? { ...sub, lost: -1 } : sub;
        missed = false;
      }
    }
  }

  private tell(message: string): void {
    const part = `trace of CPU ${this.cpu}`;
    if (!this.damage.some((known) => known.part === part && known.message === message)) {
      this.damage.push({ code: 'EXH_BAD_STRUCTURE', part, message });
    }
  }

  private head(index: number): Head {
    const { source, chunk } = this;
    const at = chunk.offset + index * chunk.size;
    const bytes = attempt(this.damage, `trace of CPU ${this.cpu}`, () => readUpTo(source, at, 16));
    if (bytes === undefined || bytes.length < 16) return { index, timestamp: 0n, unused: true };
    const view = viewOf(bytes);
    const timestamp = view.getBigUint64(0, true);
    return { index, timestamp, unused: timestamp === 0n && view.getBigUint64(8, true) === 0n };
  }

  /** The sub-buffers from the oldest on. */
  private inOrder(): number[] {
    const { order, head, commit } = this.chunk;
    const places = order === undefined ? [] : Array.from(order);
    const reader = places[0];
    const headPlace = places.indexOf(head);
    const commitPlace = places.indexOf(commit);
    if (reader === undefined || headPlace < 1 || commitPlace < 0) return this.byTime();
    const ring = places.slice(1);
    const fromHead = [...ring.slice(headPlace - 1), ...ring.slice(0, headPlace - 1)];
    // The writer may be on the reader's page: then nothing of the ring is newer.
    const written = commitPlace === 0 ? [] : fromHead.slice(0, fromHead.indexOf(commit) + 1);
    const rest = fromHead.slice(written.length).reverse();
    return [...this.alreadyRead(rest, head, reader), reader, ...written];
  }

  /** Pages before the head that were read before the machine went down still hold what they did: as the kernel, we go back through them. */
  private alreadyRead(backwards: readonly number[], head: number, reader: number): number[] {
    const found: number[] = [];
    const [first, second] = [this.head(head), this.head(reader)];
    let before = second.unused ? first : second;
    for (const index of backwards) {
      const page = this.head(index);
      if (page.unused || (!before.unused && page.timestamp > before.timestamp)) break;
      found.unshift(index);
      before = page;
    }
    return found;
  }

  /** Where the order is lost. */
  private byTime(): number[] {
    const used: Head[] = [];
    for (let index = 0; index < this.chunk.count; index++) {
      const page = this.head(index);
      if (!page.unused) used.push(page);
    }
    used.sort((a, b) => (a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0));
    return used.map(({ index }) => index);
  }
}
