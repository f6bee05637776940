import { closeSync, fsyncSync, openSync, realpathSync, renameSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ExhumeError } from '../bytes/errors.js';

/** Where an answer goes: the terminal, a pipe, or a file. */
export interface Output {
  /** A promise where the rest should wait: whoever reads is slower, and what is written meanwhile would pile up. */
  write(text: string): undefined | Promise<void>;
  /** The answer is whole: puts it in its place. */
  commit(): void;
  /** There is no answer: leaves no trace of it. */
  discard(): void;
}

/** A stream as much as is needed of it; tests give their own. */
export interface TextStream {
  /** False: it holds more than it likes to, until it tells `drain`. */
  write(text: string): unknown;
  once?(event: 'drain', listener: () => void): unknown;
}

/** What is written goes out as fast as it is read. */
export function streamOutput(stream: TextStream): Output {
  return {
    write(text) {
      if (stream.write(text) !== false || stream.once === undefined) return undefined;
      return new Promise((resolve) => stream.once?.('drain', resolve));
    },
    commit: () => {},
    discard: () => {},
  };
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
      return undefined;
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
