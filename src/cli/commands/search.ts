import { type Command, Option } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { count, optionsOf } from './shared.js';

interface SearchFlags {
  readonly physical?: boolean;
  readonly words?: boolean;
  readonly halfwords?: boolean;
  readonly text?: boolean;
  readonly mask?: string;
  readonly start?: string;
  readonly end?: string;
  readonly length?: number;
  readonly limit?: number;
}

/** `exhume search`. */
export function defineSearch(program: Command, session: Session): void {
  const command = program
    .command('search')
    .summary('where values or texts stand in memory')
    .description(
      'Looks for values, symbols’ addresses or texts in all memory that the kernel had mapped, or in physical memory. ' +
        'Memory that is mapped more than once is searched more than once.',
    )
    .argument('<file>', 'a dump')
    .argument('<pattern...>', 'hexadecimal values or symbols; with --text, texts')
    .option('-p, --physical', 'search physical memory')
    .option('-k, --kernel-memory', 'search the memory that the kernel had mapped, the default')
    .addOption(new Option('-w, --words', 'values of 32 bits').conflicts(['halfwords', 'text']))
    .addOption(new Option('--halfwords', 'values of 16 bits (also -h, after the command’s name)').conflicts('text'))
    .option('-c, --text', 'the patterns are texts')
    .option('-m, --mask <bits>', 'bits of the values that do not count, hexadecimal')
    .option('-s, --start <address>', 'begin here')
    .addOption(new Option('-e, --end <address>', 'end before here').conflicts('length'))
    .option('-l, --length <bytes>', 'search so many bytes from the start', count)
    .option('--limit <n>', 'show so many places at the most; 100000 by default', count)
    .action(async (file: string, patterns: string[]) => {
      const options = optionsOf<SearchFlags>(command);
      const { mask, start, end, length, limit } = options;
      const space = options.physical ? 'physical' : 'kernel';
      const unit = options.text ? 'text' : options.words ? 32 : options.halfwords ? 16 : 64;
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildSearch } = await import('../../report/search.js');
        const { searchText } = await import('../../report/text/search.js');
        const model = buildSearch(subject, patterns, { space, unit, mask, start, end, length, limit });
        return { model, lines: (text) => searchText(model, text) };
      });
    });
  example(command, 'exhume search vmcore init_task', 'pointers to init_task');
  example(command, "exhume search vmcore -c 'Kernel panic'", 'a text');
  example(command, 'exhume search vmcore -p deadbeef -m ffffffff00000000', 'in physical memory, the low 32 bits only');
}
