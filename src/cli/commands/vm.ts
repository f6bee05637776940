import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume vm`. */
export function defineVm(program: Command, session: Session): void {
  const command = program
    .command('vm')
    .summary('the address spaces of processes')
    .description(
      'Shows the memory of every process, or of the tasks that are named: its size, what of it was resident, and the ' +
        'virtual memory areas with their files.',
    )
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .argument('[task...]', 'only these: pids, task_struct addresses, names of commands')
    .option('-s, --summary', 'sizes only, no areas')
    .option('-M, --maps', 'the areas as lines of /proc/PID/maps')
    .action(async (file: string, selectors: string[]) => {
      const options = optionsOf<{ summary?: boolean; maps?: boolean }>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildVm } = await import('../../report/vm.js');
        const { vmText } = await import('../../report/text/vm.js');
        const model = buildVm(subject, selectors);
        const style = options.maps ? 'maps' : options.summary ? 'summary' : 'table';
        return { model, lines: () => vmText(model, style) };
      });
    });
  example(command, 'exhume vm vmcore 1234', 'what had process 1234 mapped?');
  example(command, 'exhume vm vmcore -s', 'how large were the processes?');
}
