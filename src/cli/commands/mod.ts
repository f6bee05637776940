import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume mod`. */
export function defineMod(program: Command, session: Session): void {
  const command = program
    .command('mod')
    .summary('the loaded modules')
    .description(
      'Shows the modules that the dead kernel had loaded, newest first: where they lie, their size, state, ' +
        'use and taints. The size and base are those of /proc/modules.',
    )
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .argument('[module...]', 'only these: names, or addresses of their struct module')
    .option('-t, --taints', 'only modules that tainted the kernel, with the letters of their taints')
    .option('-v, --verbose', 'all of each: areas, build id, srcversion, what it uses and was loaded with')
    .action(async (file: string, names: string[]) => {
      const options = optionsOf<{ taints?: boolean; verbose?: boolean }>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildMod } = await import('../../report/mod.js');
        const { modText } = await import('../../report/text/mod.js');
        const model = buildMod(subject, { names, tainted: options.taints });
        const style = options.verbose ? 'full' : options.taints ? 'taints' : 'table';
        return { model, lines: (text) => modText(model, style, text) };
      });
    });
  example(command, 'exhume mod vmcore', 'as lsmod would have shown');
  example(command, 'exhume mod vmcore -t', 'which modules tainted the kernel?');
  example(command, 'exhume mod vmcore -v virtio_blk', 'everything about one, its build id too');
}
