import { randomBytes } from 'node:crypto';
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ExhumeError } from '../../bytes/errors.js';
import { outputError } from '../../bytes/node/output-error.js';
import { FileSource } from '../../bytes/node.js';
import { isFlattened } from '../../dump/flattened.js';
import type { ProgressListener } from '../progress.js';
import { RecordPlacer } from '../record-placer.js';
import { PIPE } from './output.js';

/** A dump that came through a pipe, as a file. */
export interface Spooled {
  readonly file: FileSource;
  /** What of it was received, where the end is missing: first byte and first one after by turns. */
  readonly extents: Float64Array | undefined;
}

/**
 * Receives a dump from a pipe into a file without a name beside the output, which is gone with this process.
 * The flattened form is undone on the way, as `makedumpfile -R` does: that takes no memory, however large it is.
 * Throws EXH_NO_SPACE, EXH_IO, EXH_BAD_HEADER for records that no writer makes; and what the signal says.
 */
export async function spool(
  input: AsyncIterable<Uint8Array>,
  output: string,
  listener: ProgressListener,
  signal: AbortSignal,
): Promise<Spooled> {
  const name = 'standard input';
  const descriptor = unnamedFile(output === PIPE ? tmpdir() : dirname(output));
  const write = (offset: number, bytes: Uint8Array): void => {
    try {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(descriptor, bytes, done, bytes.length - done, offset + done);
      }
    } catch (error) {
      throw outputError('the copy of standard input', `write at ${offset}`, error);
    }
  };
  try {
    let received = 0;
    let placer: RecordPlacer | undefined;
    for await (const bytes of whole(input)) {
      signal.throwIfAborted();
      if (received === 0 && isFlattened(bytes)) placer = new RecordPlacer(name, write);
      if (placer === undefined) write(received, bytes);
      else placer.take(bytes);
      received += bytes.length;
      listener({ phase: 'receiving', done: received, total: undefined });
    }
    const extents = placer?.finish();
    return { file: FileSource.over(name, descriptor), extents };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** The first piece has at least so many bytes, if there are so many: enough to tell what it is. */
const ENOUGH = 64;

async function* whole(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let head: Uint8Array | undefined = new Uint8Array();
  for await (const bytes of input) {
    if (head === undefined) {
      yield bytes;
      continue;
    }
    head = Buffer.concat([head, bytes]);
    if (head.length < ENOUGH) continue;
    yield head;
    head = undefined;
  }
  if (head !== undefined && head.length > 0) yield head;
}

function unnamedFile(directory: string): number {
  const path = join(directory, `.exhume-received-${randomBytes(4).toString('hex')}`);
  try {
    const descriptor = openSync(path, 'wx+', 0o600);
    unlinkSync(path);
    return descriptor;
  } catch (error) {
    if (error instanceof ExhumeError) throw error;
    throw outputError(path, 'create', error);
  }
}
