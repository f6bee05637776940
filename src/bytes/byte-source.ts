import { ExhumeError } from './errors.js';

/**
 * Random-access bytes: the one seam between exhume and the outside.
 * A file, a buffer, a browser's Blob, a slice of another source, a flattened file seen as what it holds.
 */
export interface ByteSource {
  /** What to call it in messages; usually the file name. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /**
   * Copies bytes from `offset` into `into` and returns how many: fewer than asked only where the source ends.
   * Never reads past `size`; an offset at or past the end gives 0. Throws EXH_IO when the medium fails.
   */
  read(offset: number, into: Uint8Array): number;
}

/** Bytes that are already in memory. */
export class MemorySource implements ByteSource {
  readonly size: number;

  constructor(
    private readonly bytes: Uint8Array,
    readonly name = 'memory',
  ) {
    this.size = bytes.length;
  }

  read(offset: number, into: Uint8Array): number {
    const length = Math.max(0, Math.min(into.length, this.size - offset));
    if (length > 0) into.set(this.bytes.subarray(offset, offset + length));
    return length;
  }
}

/** A window of another source; it ends where the other one does. */
export class SliceSource implements ByteSource {
  readonly name: string;
  readonly size: number;

  constructor(
    private readonly source: ByteSource,
    private readonly start: number,
    length = Number.POSITIVE_INFINITY,
  ) {
    this.name = source.name;
    this.size = Math.max(0, Math.min(length, source.size - start));
  }

  read(offset: number, into: Uint8Array): number {
    const length = Math.max(0, Math.min(into.length, this.size - offset));
    return length === 0 ? 0 : this.source.read(this.start + offset, into.subarray(0, length));
  }
}

/**
 * Reads exactly `length` bytes. Throws EXH_TRUNCATED when the source ends before.
 * @param what what is being read, for the message: "ELF header"
 */
export function readExactly(source: ByteSource, offset: number, length: number, what: string): Uint8Array {
  if (offset < 0 || length < 0 || !Number.isSafeInteger(offset + length) || offset + length > source.size) {
    throw new ExhumeError(
      'EXH_TRUNCATED',
      `${source.name}: ${what} needs bytes ${offset} to ${offset + length}, the file has ${source.size}`,
      { file: source.name, offset, expected: offset + length, found: source.size },
    );
  }
  const bytes = new Uint8Array(length);
  const got = source.read(offset, bytes);
  if (got !== length) {
    throw new ExhumeError('EXH_TRUNCATED', `${source.name}: ${what} at ${offset}: got ${got} of ${length} bytes`, {
      file: source.name,
      offset,
      expected: length,
      found: got,
    });
  }
  return bytes;
}

/** Reads up to `length` bytes, fewer where the source ends. */
export function readUpTo(source: ByteSource, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(0, Math.min(length, source.size - offset)));
  return bytes.subarray(0, source.read(offset, bytes));
}
