import { closeSync, openSync, statSync } from 'node:fs';

/** Where an answer goes: the terminal, a pipe, or a file. */
export interface Output {
  /** A promise where the rest should wait: whoever reads is slower, and what is written meanwhile would pile up. */
  write(text: string): undefined | Promise<void>;
  /** The answer is whole: puts it in its place. */
  commit(): void;
  /** There is no answer: leaves no trace of it. */
  discard(): void;
}

/** A file, which may be of anything. */
export interface FileOutput extends Output {
  write(content: string | Uint8Array): undefined;
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
 * A file that is either there whole or not at all: see {@link OutputFile}. Devices and pipes (`/dev/null`) are written to
 * directly. Throws EXH_NO_SPACE, EXH_IO.
 */
export async function fileOutput(path: string): Promise<FileOutput> {
  // Few answers go to a file: the others need not load this.
  const [{ AppendingFile, OutputFile }, { PipeSink }, { outputError }] = await Promise.all([
    import('../bytes/node/output-file.js'),
    import('../bytes/node/pipe-sink.js'),
    import('../bytes/node/output-error.js'),
  ]);
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isFile() === false) {
      const descriptor = openSync(path, 'w');
      const sink = new PipeSink(descriptor, path);
      const close = () => closeSync(descriptor);
      return textOutput((bytes) => sink.append(bytes), close, close);
    }
  } catch (error) {
    throw outputError(path, 'open', error);
  }
  const file = OutputFile.create(path, ANSWER_MODE);
  const sink = new AppendingFile(file);
  return textOutput(
    (bytes) => sink.append(bytes),
    () => file.commit(),
    () => file.abort(),
  );
}

/** An answer may be read by whoever the umask lets. */
const ANSWER_MODE = 0o666;

function textOutput(append: (bytes: Uint8Array) => void, commit: () => void, discard: () => void): FileOutput {
  return {
    write(content) {
      append(typeof content === 'string' ? Buffer.from(content) : content);
      return undefined;
    },
    commit,
    discard,
  };
}
