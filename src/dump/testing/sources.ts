import type { ByteSource } from '../../bytes/byte-source.js';
import { MemorySource } from '../../bytes/byte-source.js';

/** Counts what is read from another source. */
export class CountingSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  reads = 0;
  bytes = 0;

  constructor(private readonly source: ByteSource) {
    this.name = source.name;
    this.size = source.size;
  }

  read(offset: number, into: Uint8Array): number {
    this.reads++;
    const got = this.source.read(offset, into);
    this.bytes += got;
    return got;
  }

  reset(): void {
    this.reads = 0;
    this.bytes = 0;
  }
}

/** A page that says its own number in every word, so that a wrong page shows. */
export function numberedPage(pfn: number, size = 4096): Uint8Array {
  const words = new Uint32Array(size / 4).fill(pfn);
  return new Uint8Array(words.buffer);
}

export function memorySource(bytes: Uint8Array, name = 'test'): ByteSource {
  return new MemorySource(bytes, name);
}
