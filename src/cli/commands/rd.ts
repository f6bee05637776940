import { type Command, Option } from 'commander';
import { ExhumeError } from '../../bytes/errors.js';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { count, optionsOf, wholeNumber } from './shared.js';

interface RdFlags {
  readonly physical?: boolean;
  readonly user?: boolean;
  readonly symbols?: boolean;
  readonly ascii?: boolean;
  readonly cpu?: number;
  readonly 8?: boolean;
  readonly 16?: boolean;
  readonly 32?: boolean;
}

/** `exhume rd`. */
export function defineRd(program: Command, session: Session): void {
  const command = program
    .command('rd')
    .summary('read memory, by virtual or physical address or symbol')
    .description(
      'Shows memory in hexadecimal and as text. Memory that the dump does not hold is named, with the reason, ' +
        'and never shown as zeros.',
    )
    .argument('<file>', 'a dump')
    .argument('<address>', 'a symbol, symbol+offset, or a hexadecimal address')
    .argument('[count]', 'how many values to show, decimal or 0x…', count)
    .option('-p, --physical', 'the address is a physical one')
    .option('-u, --user', 'the address is a user-space one: read through the page table that a CPU was using')
    .option('-c, --cpu <n>', 'for --user: which CPU; by default the one on which the kernel died', wholeNumber)
    .addOption(new Option('--8', 'values of 8 bits (also -8)').conflicts(['16', '32', '64']))
    .addOption(new Option('--16', 'values of 16 bits (also -16)').conflicts(['32', '64']))
    .addOption(new Option('--32', 'values of 32 bits (also -32)').conflicts('64'))
    .option('--64', 'values of 64 bits (also -64), the default')
    .option('-s, --symbols', 'show kernel addresses as symbols')
    .option('-a, --ascii', 'show the text at the address, to its end or for count bytes')
    .action(async (file: string, address: string, values: number | undefined) => {
      const options = optionsOf<RdFlags>(command);
      await session.answer(options, async () => {
        if (options.physical && options.user) {
          throw new ExhumeError('EXH_USAGE', 'an address is physical or user-space, not both', {
            hint: 'exhume help rd',
          });
        }
        const { subject } = await session.open([file], options);
        const { buildRd } = await import('../../report/rd.js');
        const { rdText } = await import('../../report/text/rd.js');
        const model = buildRd(subject, address, {
          space: options.physical ? 'physical' : options.user ? 'user' : 'kernel',
          unit: options[8] ? 8 : options[16] ? 16 : options[32] ? 32 : 64,
          count: values,
          symbols: options.symbols,
          string: options.ascii,
          cpu: options.cpu,
        });
        return { model, lines: (text) => rdText(model, text) };
      });
    });
  example(command, 'exhume rd vmcore jiffies', 'one 64-bit value');
  example(command, 'exhume rd vmcore linux_banner -a', 'a text');
  example(command, 'exhume rd vmcore ffffc90000123d80 64 -s', 'a stretch of stack, with the symbols that it holds');
  example(command, 'exhume rd vmcore -p 1000 16 -32', 'physical memory, sixteen 32-bit values');
}

/** crash writes the widths with one dash, which no option of commander can have. */
export function withLongWidths(words: readonly string[]): string[] {
  return words.map((word) => (/^-(8|16|32|64)$/.test(word) ? `-${word}` : word));
}
