import { hex, type Pfn, type PhysicalAddress, type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { missingPage, type PhysicalMemory } from '../dump/memory.js';

/** Reads memory by virtual address. Each architecture supplies `translate`; everything else follows from it. */
export abstract class VirtualMemory {
  private readonly scratch = new Uint8Array(8);
  private readonly scratchView = viewOf(this.scratch);

  constructor(
    readonly physical: PhysicalMemory,
    readonly littleEndian: boolean,
  ) {}

  /** The physical address behind a virtual one; undefined where nothing is mapped. Pages are at least `physical.pageSize`. */
  abstract translate(address: VirtualAddress): PhysicalAddress | undefined;

  /**
   * Copies memory from `address` on into `into`.
   * Throws EXH_NOT_MAPPED where nothing is mapped, and the page errors of PhysicalMemory.read.
   */
  read(address: bigint, into: Uint8Array): void {
    const pageSize = this.physical.pageSize;
    let done = 0;
    while (done < into.length) {
      const at = virtualAddress(address + BigInt(done));
      const physical = this.translate(at);
      if (physical === undefined) throw this.notMapped(at);
      const length = Math.min(pageSize - (physical & (pageSize - 1)), into.length - done);
      this.physical.read(physical, into.subarray(done, done + length));
      done += length;
    }
  }

  /** As `read`, into a new array of `length` bytes. The caller bounds `length`. */
  bytes(address: bigint, length: number): Uint8Array {
    const into = new Uint8Array(length);
    this.read(address, into);
    return into;
  }

  u8(address: bigint): number {
    return this.fetch(address, 1).getUint8(0);
  }

  u16(address: bigint): number {
    return this.fetch(address, 2).getUint16(0, this.littleEndian);
  }

  u32(address: bigint): number {
    return this.fetch(address, 4).getUint32(0, this.littleEndian);
  }

  i32(address: bigint): number {
    return this.fetch(address, 4).getInt32(0, this.littleEndian);
  }

  u64(address: bigint): bigint {
    return this.fetch(address, 8).getBigUint64(0, this.littleEndian);
  }

  i64(address: bigint): bigint {
    return this.fetch(address, 8).getBigInt64(0, this.littleEndian);
  }

  /** A pointer of a 64-bit kernel. */
  pointer(address: bigint): VirtualAddress {
    return this.u64(address) as VirtualAddress;
  }

  /** A NUL-terminated string of at most `limit` bytes, as UTF-8. It may cross into an unmapped page only after its NUL. */
  string(address: bigint, limit = 4096): string {
    const bytes: number[] = [];
    const pageSize = this.physical.pageSize;
    while (bytes.length < limit) {
      const at = address + BigInt(bytes.length);
      const left = pageSize - Number(at & BigInt(pageSize - 1));
      const chunk = this.bytes(at, Math.min(left, limit - bytes.length, 256));
      const end = chunk.indexOf(0);
      bytes.push(...(end < 0 ? chunk : chunk.subarray(0, end)));
      if (end >= 0) break;
    }
    return new TextDecoder().decode(Uint8Array.from(bytes));
  }

  /** The error for an address that `translate` has no answer to; page tables say where their walk ended. */
  protected notMapped(address: VirtualAddress): ExhumeError {
    return new ExhumeError('EXH_NOT_MAPPED', `virtual address ${hex(address)} is not mapped`, { address });
  }

  /** The value at `address` as the first bytes of a view; within one page, as nearly all are, without any allocation. */
  private fetch(address: bigint, size: 1 | 2 | 4 | 8): DataView {
    const { scratch } = this;
    const pageSize = this.physical.pageSize;
    const at = this.translate(BigInt.asUintN(64, address) as VirtualAddress);
    if (at !== undefined) {
      // Exact for any address: the operator takes the low 32 bits.
      const within = at & (pageSize - 1);
      if (within + size <= pageSize) {
        const page = this.physical.peek(((at - within) / pageSize) as Pfn);
        if (typeof page === 'string') throw missingPage(at, page);
        for (let i = 0; i < size; i++) scratch[i] = page[within + i] as number;
        return this.scratchView;
      }
    }
    this.read(address, scratch.subarray(0, size));
    return this.scratchView;
  }
}
