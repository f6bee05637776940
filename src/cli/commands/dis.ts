import { type Command, Option } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { count, optionsOf } from './shared.js';

interface DisFlags {
  readonly reverse?: boolean;
  readonly forward?: boolean;
  readonly hex?: boolean;
}

/** `exhume dis`. */
export function defineDis(program: Command, session: Session): void {
  const command = program
    .command('dis')
    .summary('disassembled code')
    .description(
      'Disassembles the code in the dump: of a symbol the whole function, of another address one instruction. ' +
        'What is shown is what the kernel ran, with everything that it had patched into its code.',
    )
    .argument('<file>', 'a dump')
    .argument('<address>', 'a symbol, symbol+offset, or a hexadecimal address')
    .argument('[count]', 'how many instructions', count)
    .addOption(new Option('-r, --reverse', 'from the start of the function to the address').conflicts('forward'))
    .option('-f, --forward', 'from the address to the end of the function')
    .option('-x, --hex', 'offsets in hexadecimal')
    .action(async (file: string, address: string, instructions: number | undefined) => {
      const options = optionsOf<DisFlags>(command);
      const { reverse, forward } = options;
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildDis } = await import('../../report/dis.js');
        const { disText } = await import('../../report/text/dis.js');
        const { loadDisassembler } = await import('../disassembler.js');
        const disassemble = await loadDisassembler();
        const radix = options.hex ? 16 : 10;
        const model = buildDis(subject, address, disassemble, { count: instructions, reverse, forward, radix });
        return { model, lines: (text) => disText(model, text) };
      });
    });
  example(command, 'exhume dis vmcore schedule', 'a whole function');
  example(command, 'exhume dis vmcore -r schedule+67', 'from its start to where a CPU was');
  example(command, 'exhume dis vmcore ffffffff81a114f0 5', 'five instructions');
}
