import type { GuestMemory } from '../guest-memory.js';
import { noMemory } from '../guest-memory.js';
import { RamFile } from '../ram-file.js';
import type { DmaMessages } from './dma.js';
import { DmaMap, type MappedPiece } from './dma-map.js';
import { DMA_READABLE, DMA_WRITABLE } from './protocol.js';

/** A file that descriptors were passed of, and whether it is the guest's memory. */
interface Passed {
  readonly file: RamFile;
  trust: 'unknown' | 'shared' | 'private';
  mappings: number;
}

/**
 * Guest memory that the client has mapped: through the descriptors that it passed along, or by messages.
 *
 * A descriptor may be of a file that the guest's memory is a private copy of (`share=off`): what the guest writes is not
 * in it, and what is written to it may be somebody's image. So none is used before it has shown itself: something that
 * was written by a message, where something else stood in the file, has to stand in the file. Then the client writes
 * where we read, and so do its CPUs. Until then, and where that is not so, memory is moved by messages.
 */
export class VfioMemory implements GuestMemory {
  private readonly map = new DmaMap();
  private readonly files = new Map<string, Passed>();

  constructor(
    private readonly messages: DmaMessages,
    private readonly settled: (trust: 'shared' | 'private') => void,
  ) {}

  /** Maps it, and takes the descriptor, if one came along. */
  add(
    stretch: { readonly address: number; readonly size: number; readonly access: number; readonly offset: number },
    descriptor?: number,
  ): 'added' | 'overlap' | 'full' {
    const { address, size, access, offset } = stretch;
    const fits = this.map.fits(stretch);
    const file = descriptor === undefined ? undefined : RamFile.of(descriptor, offset + size);
    if (fits !== 'fits') {
      file?.close();
      return fits;
    }
    this.map.add({ address, size, access, ...(file && { file: this.known(file), offset }) });
    return 'added';
  }

  /** Takes away the mappings that lie wholly in a range. Answers how many. */
  remove(address: number, size: number): number {
    const removed = this.map.remove(address, size);
    for (const { file } of removed) {
      const passed = file && this.files.get(file.identity);
      if (!passed || --passed.mappings > 0) continue;
      this.files.delete(passed.file.identity);
      passed.file.close();
    }
    return removed.length;
  }

  async read(address: number, into: Uint8Array): Promise<void> {
    for (const piece of this.pieces(address, into.length, DMA_READABLE)) {
      const part = into.subarray(piece.address - address, piece.address - address + piece.length);
      const passed = this.passedFor(piece);
      const here = passed?.trust === 'shared' && this.through(passed, () => passed.file.read(inFile(piece), part));
      if (!here) await this.messages.read(piece.address, part);
    }
  }

  async write(address: number, bytes: Uint8Array): Promise<void> {
    for (const piece of this.pieces(address, bytes.length, DMA_WRITABLE)) {
      const part = bytes.subarray(piece.address - address, piece.address - address + piece.length);
      const passed = this.passedFor(piece);
      if (passed?.trust === 'unknown') await this.prove(passed, piece, part);
      else {
        const here = passed?.trust === 'shared' && this.through(passed, () => passed.file.write(inFile(piece), part));
        if (!here) await this.messages.write(piece.address, part);
      }
    }
  }

  /** The client is gone. */
  close(): void {
    this.remove(0, Number.POSITIVE_INFINITY);
  }

  private pieces(address: number, length: number, access: number): readonly MappedPiece[] {
    const pieces = this.map.pieces(address, length, access);
    if (!pieces) throw noMemory(address, length, access === DMA_READABLE ? 'read' : 'write');
    return pieces;
  }

  private passedFor({ mapping }: MappedPiece): Passed | undefined {
    return mapping.file && this.files.get(mapping.file.identity);
  }

  /** One descriptor of each file is kept. */
  private known(file: RamFile): RamFile {
    const passed = this.files.get(file.identity);
    if (!passed) {
      this.files.set(file.identity, { file, trust: 'unknown', mappings: 1 });
      return file;
    }
    file.close();
    passed.mappings++;
    return passed.file;
  }

  /** A file that fails is not used again. */
  private through(passed: Passed, move: () => boolean): boolean {
    if (move()) return true;
    this.settle(passed, 'private');
    return false;
  }

  private async prove(passed: Passed, piece: MappedPiece, bytes: Uint8Array): Promise<void> {
    const before = new Uint8Array(bytes.length);
    const after = new Uint8Array(bytes.length);
    const telling = passed.file.read(inFile(piece), before) && Buffer.compare(before, bytes) !== 0;
    await this.messages.write(piece.address, bytes);
    // Unmapped meanwhile, or settled by another request.
    if (!telling || passed.mappings === 0 || passed.trust !== 'unknown') return;
    const stands = passed.file.read(inFile(piece), after) && Buffer.compare(after, bytes) === 0;
    this.settle(passed, stands ? 'shared' : 'private');
  }

  private settle(passed: Passed, trust: 'shared' | 'private'): void {
    passed.trust = trust;
    this.settled(trust);
  }
}

function inFile({ mapping, address }: MappedPiece): number {
  return (mapping.offset ?? 0) + address - mapping.address;
}
