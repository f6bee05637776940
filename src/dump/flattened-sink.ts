import type { AppendSink, ByteSink } from '../bytes/byte-sink.js';
import { viewOf } from '../bytes/struct-table.js';
import { FLATTENED_HEADER, FLATTENED_HEADER_SIZE, FLATTENED_RECORD } from './flattened.js';

/** Zeros are written in records of this many bytes. */
const ZEROS = 64 * 1024;

/**
 * Makes makedumpfile's flattened form of what is written to it: whatever a DumpWriter writes can go to a pipe so.
 * Bytes must be written once only: readers differ in which of two records for a place wins.
 */
export class FlattenedSink implements ByteSink {
  readonly name: string;
  private readonly header = new Uint8Array(FLATTENED_RECORD.size);
  private readonly zeroBytes = new Uint8Array(ZEROS);
  /** First byte behind all that was written. */
  private end = 0;

  /** Writes the header of the flattened form at once. Throws as `append` does, here and later. */
  constructor(private readonly to: AppendSink) {
    this.name = to.name;
    const header = new Uint8Array(FLATTENED_HEADER_SIZE);
    // VERSION_FLAT_HEADER and TYPE_FLAT_HEADER; makedumpfile.h.
    FLATTENED_HEADER.write(viewOf(header), 0, { signature: 'makedumpfile', type: 1n, version: 1n }, false);
    to.append(header);
  }

  write(offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.record(BigInt(offset), BigInt(bytes.length));
    this.to.append(bytes);
    this.end = Math.max(this.end, offset + bytes.length);
  }

  zeros(offset: number, size: number): void {
    for (let done = 0; done < size; done += ZEROS) {
      this.write(offset + done, this.zeroBytes.subarray(0, Math.min(ZEROS, size - done)));
    }
  }

  extend(size: number): void {
    if (size > this.end) this.zeros(this.end, size - this.end);
  }

  /** Writes the end record: nothing may follow. */
  finish(): void {
    this.record(-1n, -1n);
  }

  private record(offset: bigint, size: bigint): void {
    FLATTENED_RECORD.write(viewOf(this.header), 0, { offset, buf_size: size }, false);
    this.to.append(this.header);
  }
}
