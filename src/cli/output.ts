import { closeSync, fsyncSync, openSync, realpathSync, renameSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ExhumeError } from '../bytes/errors.js';

/** Where an answer goes: the terminal, a pipe, or a file. */
export interface Output {
  write(text: string): void;
  /** The answer is whole: puts it in its place. */
  commit(): void;
  /** There is no answer: leaves no trace of it. */
  discard(): void;
}

/** A stream as much as is needed of it; tests give their own. */
export interface TextStream {
  write(text: string): unknown;
}

/** What is written goes out at once. */
export function streamOutput(stream: TextStream): Output {
  return { write: (text) => void stream.write(text), commit: () => {}, discard: () => {} };
}

/**
 * A file that is either there whole or not at all: a temporary file beside it, flushed to the disk, then renamed.
 * Devices and pipes (`/dev/null`) are written to directly.
 */
export function fileOutput(path: string): Output {
  const target = existing(path);
  const special = target !== undefined && !statSync(target).isFile();
  const place = target ?? path;
  const written = special ? place : join(dirname(place), `.${basename(place)}.${process.pid}.partial`);
  const descriptor = guard(path, () => openSync(written, special ? 'w' : 'wx'));
  return {
    write(text) {
      guard(path, () => {
        const bytes = Buffer.from(text);
        for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
      });
    },
    commit() {
      guard(path, () => {
        if (!special) fsyncSync(descriptor);
        closeSync(descriptor);
        if (!special) renameSync(written, place);
      });
    },
    discard() {
      closeSync(descriptor);
      if (!special) unlinkSync(written);
    },
  };
}

/** The file behind a name, through symbolic links; undefined when there is none yet. */
function existing(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function guard<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ExhumeError('EXH_IO', `${path}: cannot write: ${reason}`, { file: path }, { cause: error });
  }
}
