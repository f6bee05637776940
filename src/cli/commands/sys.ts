import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume sys`. */
export function defineSys(program: Command, session: Session): void {
  const command = program
    .command('sys')
    .summary('the system: kernel, CPUs, uptime, load, memory, panic')
    .description('Shows which system it was and how it stood: the page that crash opens with.')
    .argument('<file...>', 'a dump; all files of a split one')
    .action(async (files: string[]) => {
      const options = optionsOf(command);
      await session.answer(options, async () => {
        const { subject } = await session.open(files, options);
        const { buildSys } = await import('../../report/sys.js');
        const { sysText } = await import('../../report/text/sys.js');
        const model = buildSys(subject, files);
        return { model, lines: () => sysText(model) };
      });
    });
  example(command, 'exhume sys vmcore', 'which system, how long it ran, what it died of');
}
