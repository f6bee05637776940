import { closeSync, fstatSync, readSync, statfsSync, writeSync } from 'node:fs';

/** File systems whose files are memory (linux/magic.h): tmpfs, hugetlbfs. Others may take their time. */
const IN_MEMORY: readonly number[] = [0x01021994, 0x958458f6];

/**
 * A file that holds memory of a guest, read and written in place and never mapped: a file that shrinks under our feet is
 * an error then, and no signal.
 */
export class RamFile {
  private constructor(
    private readonly descriptor: number,
    /** The same for two descriptors of one file. */
    readonly identity: string,
  ) {}

  /** Takes a descriptor; undefined, and the descriptor is closed, unless it is of a file in memory of at least `size` bytes. */
  static of(descriptor: number, size: number): RamFile | undefined {
    try {
      const stat = fstatSync(descriptor, { bigint: true });
      if (stat.isFile() && stat.size >= size && IN_MEMORY.includes(statfsSync(`/proc/self/fd/${descriptor}`).type)) {
        return new RamFile(descriptor, `${stat.dev}:${stat.ino}`);
      }
    } catch {
      // Whatever it is, it is no memory.
    }
    closeSync(descriptor);
    return undefined;
  }

  /** Whether all of it was read. */
  read(at: number, into: Uint8Array): boolean {
    return whole(into, (done) => readSync(this.descriptor, into, done, into.length - done, at + done));
  }

  /** Whether all of it was written. */
  write(at: number, bytes: Uint8Array): boolean {
    return whole(bytes, (done) => writeSync(this.descriptor, bytes, done, bytes.length - done, at + done));
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

function whole(bytes: Uint8Array, move: (done: number) => number): boolean {
  try {
    for (let done = 0; done < bytes.length; ) {
      const moved = move(done);
      if (moved === 0) return false;
      done += moved;
    }
    return true;
  } catch {
    return false;
  }
}
