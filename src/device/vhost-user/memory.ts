import { type GuestMemory, noMemory } from '../guest-memory.js';
import { RamFile } from '../ram-file.js';

/** A stretch of guest memory in a file. */
export interface Region {
  /** Guest physical. */
  readonly address: number;
  readonly size: number;
  /** Where the machine's process has it. */
  readonly userAddress: number;
  /** Where it begins in the file. */
  readonly offset: number;
}

/** Guest memory in the files whose descriptors came with a memory table. */
export class VhostMemory implements GuestMemory {
  private regions: readonly (Region & { readonly file: RamFile })[] = [];

  /** A new table in place of the old one; takes the descriptors. Whether all of it is memory: if not, there is none. */
  replace(table: readonly { readonly region: Region; readonly descriptor: number }[]): boolean {
    this.close();
    this.regions = table.flatMap(({ region, descriptor }) => {
      const file = RamFile.of(descriptor, region.offset + region.size);
      return file ? [{ ...region, file }] : [];
    });
    const ends = this.regions.every(({ address, size }) => size > 0 && Number.isSafeInteger(address + size));
    if (ends && this.regions.length === table.length) return true;
    this.close();
    return false;
  }

  /** The guest physical address of what the machine's process has at an address. */
  guestAddress(userAddress: number): number | undefined {
    for (const region of this.regions) {
      const at = userAddress - region.userAddress;
      if (at >= 0 && at < region.size) return region.address + at;
    }
    return undefined;
  }

  async read(address: number, into: Uint8Array): Promise<void> {
    this.fill(address, into);
  }

  /** As `read`, at once. Throws EXH_DEVICE_MEMORY. */
  fill(address: number, into: Uint8Array): void {
    this.move(address, into, 'read');
  }

  async write(address: number, bytes: Uint8Array): Promise<void> {
    this.move(address, bytes, 'write');
  }

  close(): void {
    for (const { file } of this.regions) file.close();
    this.regions = [];
  }

  private move(address: number, bytes: Uint8Array, access: 'read' | 'write'): void {
    for (let done = 0; done < bytes.length; ) {
      const at = address + done;
      const region = this.regions.find((one) => at >= one.address && at < one.address + one.size);
      if (!region) throw noMemory(address, bytes.length, access);
      const part = bytes.subarray(done, done + region.address + region.size - at);
      if (!region.file[access](region.offset + at - region.address, part)) {
        throw noMemory(address, bytes.length, access);
      }
      done += part.length;
    }
  }
}
