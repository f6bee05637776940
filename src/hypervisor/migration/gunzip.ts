import { Gunzip } from 'fflate';
import { type ByteSource, MemorySource } from '../../bytes/byte-source.js';
import { ExhumeError, messageOf } from '../../bytes/errors.js';
import { JoinedSource } from '../../bytes/joined-source.js';

const PIECE = 1024 * 1024;
const PART = 16 * 1024 * 1024;
/** So much is kept in memory; what is longer has to be unpacked into a file. */
const MOST = 1024 * 1024 * 1024;

/**
 * What a gzip file holds, from an offset of a source on, in memory; undefined: it is too long for that.
 * Throws EXH_CODEC where it is broken; a file that is cut off gives what there is.
 */
export function gunzipped(source: ByteSource, from: number): ByteSource | undefined {
  const parts: Uint8Array[] = [];
  let part = new Uint8Array(PART);
  let used = 0;
  const gunzip = new Gunzip((bytes) => {
    for (let done = 0; done < bytes.length; ) {
      if (used === PART) {
        parts.push(part);
        part = new Uint8Array(PART);
        used = 0;
      }
      const some = bytes.subarray(done, done + PART - used);
      part.set(some, used);
      used += some.length;
      done += some.length;
    }
  });
  try {
    for (let at = from; at < source.size; ) {
      const piece = new Uint8Array(PIECE);
      const got = source.read(at, piece);
      if (got === 0) break;
      at += got;
      gunzip.push(piece.subarray(0, got), false);
      if (parts.length * PART > MOST) return undefined;
    }
  } catch (error) {
    const message = messageOf(error);
    throw new ExhumeError('EXH_CODEC', `${source.name}: gzip: ${message}`, { file: source.name, offset: from });
  }
  parts.push(part.subarray(0, used));
  return new JoinedSource(
    parts.map((bytes) => new MemorySource(bytes)),
    source.name,
  );
}
