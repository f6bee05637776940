import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf, wholeNumber } from './shared.js';

interface LogFlags {
  readonly ctime?: boolean;
  readonly raw?: boolean;
  readonly level?: string;
  readonly tail?: number;
  readonly caller?: boolean;
}

/** `exhume log`. */
export function defineLog(program: Command, session: Session): void {
  const command = program
    .command('log')
    .summary('the kernel log, as dmesg prints it')
    .description('Prints the kernel log out of the dump, to its last message, in the formats that dmesg has.')
    .argument('<file...>', 'a dump; all files of a split one')
    .option('-T, --ctime', 'wall-clock times; exact where the kernel kept no note of suspends')
    .option('-r, --raw', 'with priorities, as /proc/kmsg gives it: <6>[    0.000000] …')
    .option(
      '-l, --level <list>',
      'only these levels: emerg,alert,crit,err,warn,notice,info,debug; err+ is err and worse',
    )
    .option('-n, --tail <n>', 'only the last n messages', wholeNumber)
    .option('--caller', 'show the task (T) or CPU (C) that printed each message, where the kernel recorded it')
    .action(async (files: string[]) => {
      const options = optionsOf<LogFlags>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open(files, options);
        const { buildLog } = await import('../../report/log.js');
        const { model, format } = buildLog(subject, options);
        const time = options.ctime ? 'ctime' : 'seconds';
        const lines = format({ time, raw: options.raw ?? false, caller: options.caller ?? false });
        return { model, lines: () => lines };
      });
    });
  example(command, 'exhume log vmcore', 'the whole log');
  example(command, 'exhume log vmcore --ctime --level err+', 'errors and worse, with wall-clock times');
  example(command, 'exhume log vmcore --tail 50 --json', 'the last 50 messages, for a program');
}
