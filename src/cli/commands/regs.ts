import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf, wholeNumber } from './shared.js';

/** `exhume regs`. */
export function defineRegs(program: Command, session: Session): void {
  const command = program
    .command('regs')
    .summary('the registers of the CPUs')
    .description('Shows the registers of every CPU as the dump recorded them, and the symbols that they point to.')
    .argument('<file...>', 'a dump; all files of a split one')
    .option('-c, --cpu <n>', 'only this CPU', wholeNumber)
    .action(async (files: string[]) => {
      const options = optionsOf<{ cpu?: number }>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open(files, options);
        const { buildRegs } = await import('../../report/regs.js');
        const { regsText } = await import('../../report/text/regs.js');
        const model = buildRegs(subject, options.cpu);
        return { model, lines: (text) => regsText(model, text) };
      });
    });
  example(command, 'exhume regs vmcore', 'all CPUs');
  example(command, 'exhume regs vmcore -c 1', 'the second CPU');
}
