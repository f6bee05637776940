import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { cpuList } from './cpu-list.js';
import { optionsOf } from './shared.js';

/** `exhume timer`. */
export function defineTimer(program: Command, session: Session): void {
  const command = program
    .command('timer')
    .summary('the pending timers')
    .description('Shows the timers that had not run yet, by CPU, with the time that each had left (TTE).')
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .option('-r, --hrtimers', 'high-resolution timers, in nanoseconds')
    .option('-C, --cpu <cpus>', 'only these CPUs: 0,2-3', cpuList)
    .action(async (file: string) => {
      const options = optionsOf<{ hrtimers?: boolean; cpu?: readonly number[] }>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildTimer } = await import('../../report/timer.js');
        const { timerText } = await import('../../report/text/timer.js');
        const model = buildTimer(subject, { hrtimers: options.hrtimers, cpus: options.cpu });
        return { model, lines: () => timerText(model) };
      });
    });
  example(command, 'exhume timer vmcore', 'the timer wheels, in jiffies');
  example(command, 'exhume timer vmcore -r -C 0', 'the high-resolution timers of CPU 0');
}
