import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { ExhumeError, messageOf } from '../../bytes/errors.js';
import { example } from '../command.js';
import type { Session } from '../session.js';
import type { Programs } from '../shell/shell.js';
import { optionsOf } from './shared.js';

/** `exhume shell`. */
export function defineShell(program: Command, session: Session, programs: Programs): void {
  const command = program
    .command('shell')
    .summary('all commands on one dump, interactively')
    .description(
      'Opens a dump once and runs commands on it, written without the dump’s name: `ps`, `bt -a`, `struct page -o`. ' +
        'With history, completion of commands, symbols, types and members, a pipe to the system’s shell (`log | less`), ' +
        '`> file`, and `help COMMAND`. Reads commands from standard input where that is no terminal.',
    )
    .argument('<file...>', 'a dump; all files of a split one')
    .option('-i, --input <file>', 'run the commands in this file, then end')
    .action(async (files: string[]) => {
      const options = optionsOf<{ input?: string }>(command);
      try {
        const opened = await session.open(files, options);
        const { Shell } = await import('../shell/shell.js');
        const { runBatch, runInteractive } = await import('../shell/interactive.js');
        const shell = new Shell(programs, session.surroundings, opened, files[0] ?? '');
        const interactive = options.input === undefined && process.stdin.isTTY === true;
        if (interactive) await runInteractive(shell, opened, session.surroundings);
        else await runBatch(shell, linesOf(options.input));
        session.status = shell.status;
      } catch (error) {
        session.fail(error, options.json ?? false);
      }
    });
  example(command, 'exhume shell vmcore', 'with history and completion');
  example(command, 'exhume shell vmcore -i commands.txt', 'the commands in a file');
  example(command, "echo 'bt -a' | exhume shell vmcore", 'commands from a pipe');
}

function linesOf(path: string | undefined): string[] {
  try {
    return readFileSync(path ?? 0, 'utf8').split('\n');
  } catch (error) {
    const reason = messageOf(error);
    throw new ExhumeError('EXH_IO', `${path ?? 'standard input'}: cannot read: ${reason}`, {}, { cause: error });
  }
}
