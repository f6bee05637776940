import { writeSync } from 'node:fs';
import type { AppendSink } from '../byte-sink.js';
import { outputError } from './output-error.js';

/** How long to wait for the reader of a pipe that is full, in milliseconds. */
const PATIENCE = 2;

/** A descriptor that is only appended to: a pipe, standard output. The caller closes it. */
export class PipeSink implements AppendSink {
  private readonly clock = new Int32Array(new SharedArrayBuffer(4));

  constructor(
    private readonly descriptor: number,
    readonly name: string,
  ) {}

  /** Waits while the pipe is full. Throws EXH_IO when the reader went away (EPIPE), EXH_NO_SPACE. */
  append(bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.length) {
      try {
        done += writeSync(this.descriptor, bytes, done, bytes.length - done);
      } catch (error) {
        // Somebody at the other end of the pipe made it non-blocking.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw outputError(this.name, 'write', error);
        Atomics.wait(this.clock, 0, 0, PATIENCE);
      }
    }
  }
}
