import { type Pfn, physicalAddress } from '../../bytes/address.js';
import type { ByteSource } from '../../bytes/byte-source.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import { isPersistentBuffer, readPersistentLayout } from './persistent-layout.js';

/** A stretch of a machine's memory as bytes; reading what is not in the dump throws the page errors. */
export class MemoryStretch implements ByteSource {
  constructor(
    private readonly memory: PhysicalMemory,
    private readonly start: number,
    readonly size: number,
    readonly name = 'memory',
  ) {}

  read(offset: number, into: Uint8Array): number {
    const length = Math.max(0, Math.min(into.length, this.size - offset));
    if (length > 0) this.memory.read(physicalAddress(this.start + offset), into.subarray(0, length));
    return length;
  }

  /** Is the page at an offset in the dump? */
  present(offset: number): boolean {
    return this.memory.state(Math.floor((this.start + offset) / this.memory.pageSize) as Pfn) === 'present';
  }
}

/** A persistent ring buffer in a machine's memory. */
export interface FoundBuffer {
  /** Physical, in bytes. */
  readonly address: number;
  readonly source: ByteSource;
  /** What it is called, where something tells. */
  readonly name?: string;
  /** What tells of it; absent: it was found by looking everywhere. */
  readonly evidence?: string;
}

/**
 * Looks through all memory for persistent ring buffers: they begin with a page. For memory in which no kernel tells of them: that
 * of a kernel that was started without the parameter, or a plain image.
 */
export function* findPersistentBuffers(memory: PhysicalMemory): Generator<FoundBuffer> {
  const { pageSize } = memory;
  for (const { start, end } of memory.presentRanges()) {
    let pfn = Math.ceil(start / pageSize);
    while ((pfn + 1) * pageSize <= end) {
      const page = memory.peek(pfn as Pfn);
      const address = pfn * pageSize;
      pfn++;
      if (typeof page === 'string' || !begins(page)) continue;
      const source = new MemoryStretch(memory, address, end - address);
      if (!isPersistentBuffer(source)) continue;
      const layout = readPersistentLayout(source);
      if (layout === undefined || layout.chunks.length === 0) continue;
      yield { address, source };
      // The layouts before 6.15 have the same mark at each CPU's part.
      pfn = Math.max(pfn, Math.floor((address + layout.size) / pageSize));
    }
  }
}

/** `RING_BUFFER_META_MAGIC`, little endian. */
function begins(page: Uint8Array): boolean {
  return page[0] === 0xed && page[1] === 0xfe && page[2] === 0xad && page[3] === 0x0b;
}
