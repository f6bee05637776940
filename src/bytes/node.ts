import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { ByteSource } from './byte-source.js';
import { ExhumeError, messageOf } from './errors.js';

/** A file opened read-only, read with positioned reads. Node only. */
export class FileSource implements ByteSource {
  readonly size: number;

  private constructor(
    readonly name: string,
    /** For another thread of this process to read from. */
    readonly descriptor: number,
    /** The file does not tell its size truly (`/proc/kcore`, devices), so reads decide where it ends. */
    readonly special: boolean,
  ) {
    const size = fstatSync(descriptor).size;
    this.size = special && size === 0 ? Number.MAX_SAFE_INTEGER : size;
  }

  /** Opens a file. Throws EXH_IO when the system refuses, with its reason. */
  static open(path: string): FileSource {
    try {
      const descriptor = openSync(path, 'r');
      const stat = fstatSync(descriptor);
      if (stat.isDirectory()) {
        closeSync(descriptor);
        throw new ExhumeError('EXH_IO', `${path} is a directory`, { file: path, hint: 'name a dump file' });
      }
      const special = !stat.isFile() || /^\/proc\//.test(path);
      return new FileSource(path, descriptor, special);
    } catch (error) {
      throw ioError(path, 'open', error);
    }
  }

  /** A file that is open already, perhaps in another thread. */
  static over(name: string, descriptor: number, special = false): FileSource {
    return new FileSource(name, descriptor, special);
  }

  read(offset: number, into: Uint8Array): number {
    const wanted = Math.min(into.length, this.size - offset);
    let done = 0;
    try {
      while (done < wanted) {
        const at = offset + done;
        const position = Number.isSafeInteger(at) ? at : BigInt(offset) + BigInt(done);
        const got = readSync(this.descriptor, into, done, wanted - done, position);
        if (got === 0) break;
        done += got;
      }
    } catch (error) {
      throw ioError(this.name, `read at ${offset}`, error);
    }
    return Math.max(0, done);
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

export function ioError(path: string, action: string, error: unknown): ExhumeError {
  if (error instanceof ExhumeError) return error;
  const reason = messageOf(error);
  return new ExhumeError('EXH_IO', `${path}: cannot ${action}: ${reason}`, { file: path }, { cause: error });
}
