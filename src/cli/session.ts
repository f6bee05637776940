import type { OutputConfiguration } from 'commander';
import { hex } from '../bytes/address.js';
import { type Damage, ExhumeError, messageOf } from '../bytes/errors.js';
import type { ErrorReport } from '../report/schema/error.js';
import type { Subject } from '../report/subject.js';
import type { TextOptions } from '../report/text/page.js';
import { jsonLines } from './json.js';
import { fileOutput, type Output, streamOutput, type TextStream } from './output.js';
import { EXIT, type ExitStatus, exitStatusOf } from './status.js';

/** Options that every command has; commander's names. */
export interface SharedOptions {
  readonly json?: boolean;
  readonly kernel?: number;
  readonly guest?: string;
  readonly vmcsinfo?: string;
  readonly output?: string;
  readonly color?: 'auto' | 'always' | 'never';
  readonly part?: readonly string[];
  readonly rawMemory?: boolean;
  readonly ranges?: string;
  readonly snapshot?: string;
}

/** The world outside, as far as the command line touches it. */
export interface Surroundings {
  readonly stdout: TextStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: TextStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A command's answer: the model, and its rendering as text. */
export interface Answer {
  readonly model: { readonly complete: boolean; readonly damage: readonly Damage[] };
  readonly lines: (options: TextOptions) => Iterable<string>;
  /** The same text in large pieces of whole lines, where it is made so: each is put out as it is. */
  readonly pieces?: () => Iterable<string>;
  /** It answers yes or no, and this is a no: told by the exit status. */
  readonly failed?: boolean;
  /** The text names what was damaged; where it does not, stderr does. */
  readonly tellsDamage?: boolean;
}

/** A dump, opened for a command. */
export interface OpenFile {
  readonly subject: Subject;
  /** Sizes of the files together. */
  readonly bytes: number;
}

/** One run of the command line. */
export class Session {
  status: ExitStatus = EXIT.answered;

  constructor(readonly surroundings: Surroundings) {}

  /** Opens the files, as the options say. */
  async open(files: readonly string[], options: SharedOptions): Promise<OpenFile> {
    const { openFiles } = await import('./open.js');
    return openFiles(files, options);
  }

  /**
   * Runs a command to its end: the answer where it belongs, or the error, and the exit status.
   * @param stream where the answer goes that is not to go to a file: not to stdout when that is taken
   */
  async answer(
    options: SharedOptions,
    work: () => Promise<Answer>,
    stream: 'stdout' | 'stderr' = 'stdout',
  ): Promise<void> {
    try {
      const { model, lines, pieces, tellsDamage, failed } = await work();
      if (options.json) await this.emit(options, jsonLines(model), stream);
      else if (pieces !== undefined)
        await this.emit(options, await this.safe(options, pieces(), stream), stream, writePieces);
      else await this.emit(options, lines(this.textOptions(options)), stream);
      if (!options.json && !tellsDamage) this.tellDamage(model.damage);
      this.status = model.complete && !failed ? EXIT.answered : EXIT.inPart;
    } catch (error) {
      this.fail(error, (options.json ?? false) && stream === 'stdout');
    }
  }

  /** Writes bytes to the file of `-o`: what is no text has no place on a terminal. */
  async file({ output, json }: SharedOptions, work: () => Promise<Uint8Array>): Promise<void> {
    try {
      if (output === undefined || output === '-') {
        throw new ExhumeError('EXH_USAGE', 'name the file to write', { hint: '-o FILE' });
      }
      const bytes = await work();
      const out = await fileOutput(output);
      await out.write(bytes);
      out.commit();
    } catch (error) {
      this.fail(error, json ?? false);
    }
  }

  /** Puts out a text that is not an answer about a dump. */
  async text({ output }: SharedOptions, text: string): Promise<void> {
    await this.emit({ ...(output !== undefined && { output }) }, text.trimEnd().split('\n'));
  }

  /** Tells an error on stderr, and with --json on stdout as a document. */
  fail(error: unknown, json: boolean): void {
    const { stderr, stdout } = this.surroundings;
    this.status = exitStatusOf(error);
    if (error instanceof ExhumeError) {
      stderr.write(`exhume: ${error.code}: ${error.message}\n`);
      if (error.data.hint !== undefined) stderr.write(`  ${error.data.hint}\n`);
    } else {
      const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
      stderr.write(`exhume: a bug in exhume, please report it with this trace:\n${trace}\n`);
    }
    if (json) stdout.write(`${JSON.stringify(errorReport(error), null, 2)}\n`);
  }

  /** How commander is to talk. */
  get commanderOutput(): OutputConfiguration {
    const { stdout, stderr } = this.surroundings;
    return {
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      getOutHelpWidth: () => this.width,
      getErrHelpWidth: () => this.width,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      // Told by fail(), in the same words as every other error.
      outputError: () => {},
    };
  }

  /** Text that is put out as it is may hold whatever a dead kernel held: on a terminal no part of it is to be a command. */
  private async safe(
    { output }: SharedOptions,
    pieces: Iterable<string>,
    stream: 'stdout' | 'stderr',
  ): Promise<Iterable<string>> {
    if (stream !== 'stdout' || this.surroundings.stdout.isTTY !== true || output !== undefined) return pieces;
    const { printable } = await import('../report/text/page.js');
    return (function* () {
      for (const piece of pieces) yield printable(piece);
    })();
  }

  private get width(): number {
    const { stdout, environment } = this.surroundings;
    const told = Number(stdout.columns ?? environment['COLUMNS']);
    return Number.isInteger(told) && told > 0 ? Math.min(told, WIDEST) : PAGE_WIDTH;
  }

  private textOptions({ color = 'auto', output }: SharedOptions): TextOptions {
    const { stdout, environment } = this.surroundings;
    const wanted =
      stdout.isTTY === true && output === undefined && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb';
    return {
      color: color === 'always' || (color === 'auto' && wanted),
      width: output === undefined ? this.width : PAGE_WIDTH,
    };
  }

  private async emit(
    { output }: SharedOptions,
    lines: Iterable<string>,
    stream: 'stdout' | 'stderr' = 'stdout',
    write = writeLines,
  ): Promise<void> {
    const out =
      output === undefined || output === '-' ? streamOutput(this.surroundings[stream]) : await fileOutput(output);
    try {
      await write(out, lines);
      out.commit();
    } catch (error) {
      out.discard();
      throw error;
    }
  }

  private tellDamage(damage: readonly Damage[]): void {
    for (const { code, part, message } of damage) {
      this.surroundings.stderr.write(`exhume: ${code}: ${part}: ${message}\n`);
    }
  }
}

/** Where nothing tells how wide the page is. */
const PAGE_WIDTH = 100;
const WIDEST = 120;
const CHUNK = 1 << 16;

/** Many lines at a time: a write for each would be most of the work. */
async function writeLines(out: Output, lines: Iterable<string>): Promise<void> {
  let pending = '';
  for (const line of lines) {
    pending += `${line}\n`;
    if (pending.length >= CHUNK) {
      await out.write(pending);
      pending = '';
    }
  }
  if (pending !== '') await out.write(pending);
}

async function writePieces(out: Output, pieces: Iterable<string>): Promise<void> {
  for (const piece of pieces) await out.write(piece);
}

function errorReport(error: unknown): ErrorReport {
  if (!(error instanceof ExhumeError)) {
    const message = messageOf(error);
    return { schema: 'exhume-error/1', error: { code: null, message, hint: null, data: {} } };
  }
  const { hint, ...data } = error.data;
  const plain = JSON.parse(JSON.stringify(data, (_, value) => (typeof value === 'bigint' ? hex(value) : value)));
  return {
    schema: 'exhume-error/1',
    error: { code: error.code, message: error.message, hint: hint ?? null, data: plain },
  };
}
