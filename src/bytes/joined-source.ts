import type { ByteSource } from './byte-source.js';

/** Several sources one behind the other. */
export class JoinedSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  /** Where each begins, in bytes. */
  readonly starts: readonly number[];

  constructor(
    private readonly sources: readonly ByteSource[],
    name = sources.map((one) => one.name).join(', '),
  ) {
    this.name = name;
    const starts: number[] = [];
    let size = 0;
    for (const source of sources) {
      starts.push(size);
      size += source.size;
    }
    this.starts = starts;
    this.size = size;
  }

  read(offset: number, into: Uint8Array): number {
    let done = 0;
    for (const [i, source] of this.sources.entries()) {
      const within = offset + done - (this.starts[i] as number);
      if (done === into.length || within < 0 || within >= source.size) continue;
      const got = source.read(within, into.subarray(done));
      done += got;
      // Where one ends before its size, what follows is not what was asked for.
      if (within + got < source.size) break;
    }
    return done;
  }
}
