import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume mach`. */
export function defineMach(program: Command, session: Session): void {
  const command = program
    .command('mach')
    .summary('the machine: addresses, sizes, stacks')
    .description(
      'Shows the machine as its kernel had laid it out: memory, ticks, where its address ranges begin, the stacks of each CPU.',
    )
    .argument('<file...>', 'a dump; all files of a split one')
    .action(async (files: string[]) => {
      const options = optionsOf(command);
      await session.answer(options, async () => {
        const { subject } = await session.open(files, options);
        const { buildMach } = await import('../../report/mach.js');
        const { machText } = await import('../../report/text/mach.js');
        const model = buildMach(subject);
        return { model, lines: () => machText(model) };
      });
    });
  example(command, 'exhume mach vmcore', 'where the kernel had its things');
}
