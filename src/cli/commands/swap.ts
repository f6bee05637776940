import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume swap`. */
export function defineSwap(program: Command, session: Session): void {
  const command = program
    .command('swap')
    .summary('the swap areas')
    .description('Shows the swap devices and files that were in use, their sizes and how full they were.')
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .action(async (file: string) => {
      const options = optionsOf(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildSwap } = await import('../../report/swap.js');
        const { swapText } = await import('../../report/text/swap.js');
        const model = buildSwap(subject);
        return { model, lines: () => swapText(model) };
      });
    });
  example(command, 'exhume swap vmcore', 'was swap full?');
}
