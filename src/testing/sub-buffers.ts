import { viewOf } from '../bytes/struct-table.js';
import type { SubBuffer, TraceBuffer, TraceCpu } from '../trace/model.js';

const DELTA_RANGE = 2 ** 27;

/** Writes records as the kernel's ring buffer does, little endian: for tests. */
export class RecordWriter {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private at = 0;
  private last: bigint;

  constructor(
    readonly timestamp: bigint,
    size = 4080,
  ) {
    this.bytes = new Uint8Array(size);
    this.view = viewOf(this.bytes);
    this.last = timestamp;
  }

  /** Bytes written so far. */
  get size(): number {
    return this.at;
  }

  /** An event with a `struct trace_entry` and a payload; false when the sub-buffer has no room for it. */
  event(time: bigint, type: number, pid: number, payload: Uint8Array = new Uint8Array(0), flags = 0): boolean {
    const length = (8 + payload.length + 3) & ~3;
    const delta = Number(time - this.last);
    const extended = delta < 0 || delta >= DELTA_RANGE;
    const large = length > 28 * 4;
    if (this.at + (extended ? 8 : 0) + (large ? 8 : 4) + length > this.bytes.length) return false;
    if (extended) this.words(30 | ((delta % DELTA_RANGE) << 5), Math.floor(delta / DELTA_RANGE));
    const rest = extended ? 0 : delta << 5;
    if (large) this.words(rest, length + 4);
    else this.words(rest | (length / 4));
    this.view.setUint16(this.at, type, true);
    this.view.setUint8(this.at + 2, flags);
    this.view.setInt32(this.at + 4, pid, true);
    this.bytes.set(payload, this.at + 8);
    this.at += length;
    this.last = time;
    return true;
  }

  /** 32-bit words as they are: headers that `event` never writes. */
  words(...words: readonly number[]): this {
    for (const word of words) {
      this.view.setUint32(this.at, word >>> 0, true);
      this.at += 4;
    }
    return this;
  }

  done({ lost = 0, consumed = 0 }: Partial<Pick<SubBuffer, 'lost' | 'consumed'>> = {}): SubBuffer {
    return { timestamp: this.timestamp, data: this.bytes.subarray(0, this.at), lost, consumed };
  }
}

/** The sub-buffers of each CPU, as a buffer with the local clock. */
export function bufferOf(
  cpus: readonly (readonly SubBuffer[])[],
  facts: Partial<Omit<TraceBuffer, 'cpus'>> = {},
): TraceBuffer {
  return {
    instance: undefined,
    snapshot: false,
    persistent: false,
    tracer: 'nop',
    clock: 'local',
    options: undefined,
    timeStart: undefined,
    recording: undefined,
    damage: [],
    ...facts,
    cpus: cpus.map((subBuffers, cpu): TraceCpu => ({ cpu, statistics: undefined, subBuffers: () => subBuffers })),
  };
}
