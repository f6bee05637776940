import { spawnSync } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { ExhumeError, messageOf } from '../../bytes/errors.js';
import { type OpenFile, Session, type SharedOptions, type Surroundings } from '../session.js';
import { EXIT, type ExitStatus } from '../status.js';
import { commandList, withoutShell } from './commands.js';
import { parseLine, type ShellLine } from './line.js';

/** What the shell needs of the program that it is a command of. */
export interface Programs {
  readonly createProgram: (session: Session) => Command;
  readonly runWords: (words: readonly string[], session: Session) => Promise<void>;
}

/** A session whose dump is open already. */
class OpenedSession extends Session {
  constructor(
    surroundings: Surroundings,
    private readonly opened: OpenFile,
  ) {
    super(surroundings);
  }

  override async open(_files: readonly string[], _options: SharedOptions): Promise<OpenFile> {
    return this.opened;
  }
}

/** Where a command's name is, every command takes the dump as its first operand. */
const QUIT: ReadonlySet<string> = new Set(['quit', 'exit', 'q']);

/** Runs commands on one opened dump, line by line. */
export class Shell {
  /** The worst status of all commands so far. */
  status: ExitStatus = EXIT.answered;
  ended = false;
  /** Set by Ctrl-C: the rest of the output is left out. */
  interrupted = false;
  readonly program: Command;

  constructor(
    private readonly programs: Programs,
    private readonly surroundings: Surroundings,
    private readonly opened: OpenFile,
    private readonly file: string,
  ) {
    this.program = programs.createProgram(new OpenedSession(surroundings, opened));
  }

  /** Runs one line. Never throws. */
  async run(line: string): Promise<void> {
    this.interrupted = false;
    const session = new OpenedSession(this.surroundings, this.opened);
    try {
      const parsed = parseLine(line);
      if (parsed.words.length > 0) await this.dispatch(parsed);
    } catch (error) {
      session.fail(error, false);
      this.note(session.status);
    }
  }

  private async dispatch(line: ShellLine): Promise<void> {
    const [name = '', ...operands] = line.words;
    if (QUIT.has(name)) {
      this.ended = true;
    } else if (name === 'help' && operands.length === 0) {
      await this.put(line, commandList(this.program));
    } else if (name === 'help') {
      await this.answer(line, ['help', ...operands]);
    } else {
      const known = withoutShell(this.program).some((one) => one.name() === name || one.aliases().includes(name));
      if (!known) {
        throw new ExhumeError('EXH_USAGE', `there is no command "${name}"`, { found: name, hint: 'help lists them' });
      }
      await this.answer(line, [name, this.file, ...operands]);
    }
  }

  /** Runs a command, its output kept until it is whole, so that it can be piped, written or interrupted. */
  private async answer(line: ShellLine, words: readonly string[]): Promise<void> {
    const chunks: string[] = [];
    const { stdout } = this.surroundings;
    const direct = line.pipe === undefined && line.file === undefined;
    const session = new OpenedSession(
      {
        ...this.surroundings,
        stdout: {
          write: (text: string) => chunks.push(text),
          isTTY: direct && stdout.isTTY === true,
          ...(stdout.columns === undefined ? {} : { columns: stdout.columns }),
        },
      },
      this.opened,
    );
    await this.programs.runWords(words, session);
    this.note(session.status);
    await this.put(line, chunks.join(''));
  }

  private note(status: ExitStatus): void {
    if (status > this.status) this.status = status;
  }

  private async put({ pipe, file }: ShellLine, text: string): Promise<void> {
    if (pipe !== undefined) this.pipe(pipe, text);
    else if (file !== undefined) write(file, text);
    else await this.print(text);
  }

  /** Some lines at a time, with the event loop's turn between, in which Ctrl-C is heard. */
  private async print(text: string): Promise<void> {
    for (let at = 0; at < text.length && !this.interrupted; at += PRINT_CHUNK) {
      this.surroundings.stdout.write(text.slice(at, at + PRINT_CHUNK));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  private pipe(command: string, text: string): void {
    const { stdout, stderr, environment } = this.surroundings;
    const inherit = stdout.isTTY === true;
    const ran = spawnSync('/bin/sh', ['-c', command], {
      input: text,
      stdio: ['pipe', inherit ? 'inherit' : 'pipe', inherit ? 'inherit' : 'pipe'],
      env: environment,
      maxBuffer: 1 << 30,
      encoding: 'utf8',
    });
    // A reader that has enough (`head`) closes the pipe: nothing is wrong with that.
    const code = (ran.error as NodeJS.ErrnoException | undefined)?.code;
    if (ran.error !== undefined && code !== 'EPIPE') {
      throw new ExhumeError('EXH_IO', `cannot run "${command}": ${ran.error.message}`, {}, { cause: ran.error });
    }
    if (!inherit) {
      stdout.write(ran.stdout);
      stderr.write(ran.stderr);
    }
  }
}

const PRINT_CHUNK = 1 << 14;

function write({ path, append }: { path: string; append: boolean }, text: string): void {
  try {
    if (append) appendFileSync(path, text);
    else writeFileSync(path, text);
  } catch (error) {
    const reason = messageOf(error);
    throw new ExhumeError('EXH_IO', `${path}: cannot write: ${reason}`, { file: path }, { cause: error });
  }
}
