import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume files`. */
export function defineFiles(program: Command, session: Session): void {
  const command = program
    .command('files')
    .summary('the open files of tasks')
    .description(
      'Shows the open files of every process, or of the tasks that are named, with their paths as the links of ' +
        '/proc/PID/fd would have told them, and the root and working directories.',
    )
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .argument('[task...]', 'only these: pids, task_struct addresses, names of commands')
    .option('-c, --pages', 'the inode, its address space, and how many of its pages are in memory')
    .option('-R, --reference <what>', 'only this descriptor, this part of a path, or this file, dentry or inode')
    .action(async (file: string, selectors: string[]) => {
      const options = optionsOf<{ pages?: boolean; reference?: string }>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildFiles } = await import('../../report/files.js');
        const { filesText } = await import('../../report/text/files.js');
        const model = buildFiles(subject, { selectors, reference: options.reference });
        return { model, lines: () => filesText(model, options.pages ? 'pages' : 'files') };
      });
    });
  example(command, 'exhume files vmcore 1', 'what did init have open?');
  example(command, 'exhume files vmcore -R /var/log', 'which processes had files there open?');
}
