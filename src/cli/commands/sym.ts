import type { Command } from 'commander';
import { ExhumeError } from '../../bytes/errors.js';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume sym`. */
export function defineSym(program: Command, session: Session): void {
  const command = program
    .command('sym')
    .summary('kernel symbols: by name, by address, by pattern')
    .description(
      'Finds the address of a symbol, or the symbol that an address lies in. ' +
        'The symbols are read out of the dump; no vmlinux and no System.map are needed.',
    )
    .argument('<file>', 'a dump')
    .argument('[name|address...]', 'names, name+offset, or hexadecimal addresses')
    .option('-g, --grep <regex>', 'every symbol whose name matches, as /proc/kallsyms lists them')
    .option('-l, --list', 'every symbol')
    .action(async (file: string, queries: string[]) => {
      const options = optionsOf<{ grep?: string; list?: boolean }>(command);
      await session.answer(options, async () => {
        const lists = options.list === true || options.grep !== undefined;
        if (lists === queries.length > 0) {
          throw new ExhumeError('EXH_USAGE', 'name symbols or addresses, or use --grep or --list: one of them', {
            hint: 'exhume help sym',
          });
        }
        const { subject } = await session.open([file], options);
        const { buildSym, buildSymbolList } = await import('../../report/sym.js');
        const { symText } = await import('../../report/text/sym.js');
        const model = lists ? buildSymbolList(subject, options.grep) : buildSym(subject, queries);
        return { model, lines: (text) => symText(model, text) };
      });
    });
  example(command, 'exhume sym vmcore jiffies', 'where is it?');
  example(command, 'exhume sym vmcore ffffffff810c2f1a', 'what is there?');
  example(command, "exhume sym vmcore --grep '^sys_call_table'", 'what is it called?');
  example(command, 'exhume sym vmcore --list > kallsyms', "the dead kernel's /proc/kallsyms");
}
