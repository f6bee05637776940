import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { AppendSink, ByteSink } from '../byte-sink.js';
import { ExhumeError } from '../errors.js';
import { outputError } from './output-error.js';

/** Memory holds keys and passwords: whoever wrote the dump may read it, nobody else. */
const MODE = 0o600;

/** Those that are neither committed nor aborted. */
const unfinished = new Set<OutputFile>();

/**
 * A new file, which stands under its own name only when it is whole. Until then it is a temporary file beside it
 * (`NAME.exhume-partial-…`): a full disk, an error or kill -9 leave an older file of that name as it was.
 */
export class OutputFile implements ByteSink {
  /** It is to be at least this long: what is not written up to there is a hole. */
  private size = 0;

  private constructor(
    /** As the user named it. */
    readonly name: string,
    /** Where it will stand: links are followed, so that a link goes on to lead to it. */
    private readonly target: string,
    private readonly temporary: string,
    private readonly descriptor: number,
  ) {
    unfinished.add(this);
  }

  /**
   * Begins a file. Throws EXH_USAGE when something other than a file stands there (a directory, a device, a pipe),
   * EXH_NO_SPACE, or EXH_IO when the system refuses.
   * @param mode who may read it, less what the umask takes away
   */
  static create(name: string, mode = MODE): OutputFile {
    try {
      const target = targetOf(name);
      const temporary = temporaryOf(target);
      return new OutputFile(name, target, temporary, openSync(temporary, 'wx', mode));
    } catch (error) {
      throw outputError(name, 'create', error);
    }
  }

  /**
   * A file that a step writes, and that is there whole or not at all. Throws what `create` and `commit` throw, and the step.
   * @returns what the step gives
   */
  static whole<T>(name: string, step: (file: OutputFile) => T): T {
    const file = OutputFile.create(name);
    try {
      const result = step(file);
      file.commit();
      return result;
    } finally {
      file.abort();
    }
  }

  /**
   * Begins with all that another file holds: sharing its blocks where the file system can, else with a copy of them.
   * The thread is free while it is being copied.
   */
  async copyFrom(path: string): Promise<void> {
    try {
      await copyFile(path, this.temporary, constants.COPYFILE_FICLONE);
      // The copy came with the rights of the original.
      fchmodSync(this.descriptor, MODE);
    } catch (error) {
      throw outputError(this.name, `copy ${path}`, error);
    }
  }

  write(offset: number, bytes: Uint8Array): void {
    try {
      let done = 0;
      while (done < bytes.length) {
        done += writeSync(this.descriptor, bytes, done, bytes.length - done, offset + done);
      }
    } catch (error) {
      throw outputError(this.name, `write at ${offset}`, error);
    }
  }

  zeros(offset: number, size: number): void {
    this.extend(offset + size);
  }

  extend(size: number): void {
    this.size = Math.max(this.size, size);
  }

  /**
   * Puts the file under its name, on the disk and not only in the system's memory; what stood there is gone.
   * When this throws (EXH_NO_SPACE, EXH_IO) it was not, and the file is still to be aborted.
   */
  commit(): void {
    try {
      if (fstatSync(this.descriptor).size < this.size) ftruncateSync(this.descriptor, this.size);
      fsyncSync(this.descriptor);
      renameSync(this.temporary, this.target);
    } catch (error) {
      throw outputError(this.name, 'finish', error);
    }
    unfinished.delete(this);
    closeSync(this.descriptor);
    syncDirectory(dirname(this.target));
  }

  /** Removes what was written. Does nothing after a commit, and never throws. */
  abort(): void {
    if (!unfinished.delete(this)) return;
    for (const step of [() => closeSync(this.descriptor), () => unlinkSync(this.temporary)]) {
      try {
        step();
      } catch {
        // It is gone already, or the file system is: there is nobody to tell.
      }
    }
  }
}

/** A file that is written from its beginning to its end. */
export class AppendingFile implements AppendSink {
  readonly name: string;
  private at = 0;

  constructor(private readonly file: OutputFile) {
    this.name = file.name;
  }

  append(bytes: Uint8Array): void {
    this.file.write(this.at, bytes);
    this.at += bytes.length;
  }
}

/** Removes every file that was begun and not finished: for the end of the process, whatever brings it about. */
export function abortOutputs(): void {
  for (const file of unfinished) file.abort();
}

function targetOf(name: string): string {
  const stat = statSync(name, { throwIfNoEntry: false });
  if (stat === undefined) return resolve(name);
  if (!stat.isFile()) {
    throw new ExhumeError('EXH_USAGE', `${name} is no file: a dump cannot be put in its place`, {
      file: name,
      hint: 'name a new file; to write to a pipe: the flattened form, and `-`',
    });
  }
  return realpathSync(name);
}

/** In the same directory, so that the file system can rename it. Names have at most 255 bytes, letters at most 4. */
function temporaryOf(target: string): string {
  const begin = Array.from(basename(target)).slice(0, 56).join('');
  return join(dirname(target), `${begin}.exhume-partial-${randomBytes(4).toString('hex')}`);
}

/** So that the new name is on the disk, too. Some file systems know no such thing; the file itself is safe by then. */
function syncDirectory(path: string): void {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    fsyncSync(descriptor);
  } catch {
    // As said above.
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
