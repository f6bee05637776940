import { type Command, Option } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume vtop`. */
export function defineVtop(program: Command, session: Session): void {
  const command = program
    .command('vtop')
    .summary('translate virtual addresses, showing each step of the page-table walk')
    .description(
      'Walks the page table for each address and shows every entry on the way, where the walk ends, ' +
        'and whether that page is in the dump.',
    )
    .argument('<file>', 'a dump')
    .argument('<address...>', 'symbols, symbol+offset, or hexadecimal virtual addresses')
    .option('-r, --root <address>', "physical address of the top-level table; by default the kernel's own")
    .addOption(
      new Option('--levels <n>', 'levels of that table; by default as many as the kernel uses').choices(['4', '5']),
    )
    .action(async (file: string, addresses: string[]) => {
      const options = optionsOf<{ root?: string; levels?: string }>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildVtop } = await import('../../report/vtop.js');
        const { vtopText } = await import('../../report/text/vtop.js');
        const levels = options.levels === undefined ? undefined : Number(options.levels);
        const model = buildVtop(subject, addresses, { root: options.root, levels });
        return { model, lines: (text) => vtopText(model, text) };
      });
    });
  example(command, 'exhume vtop vmcore init_task', "through the kernel's page table");
  example(command, 'exhume vtop vmcore 7ffd12345000 --root 3e3a000', 'through the page table of a process (its cr3)');
}
