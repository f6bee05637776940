import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume waitq`. */
export function defineWaitq(program: Command, session: Session): void {
  const command = program
    .command('waitq')
    .summary('the tasks that wait on a wait queue')
    .description('Shows who waits on a wait queue, in the order in which they are woken.')
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .argument('<queue>', 'a symbol, symbol+offset, or hexadecimal address of a wait_queue_head')
    .option('-s, --simple', 'it is a swait_queue_head')
    .action(async (file: string, queue: string) => {
      const options = optionsOf<{ simple?: boolean }>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildWaitq } = await import('../../report/waitq.js');
        const { waitqText } = await import('../../report/text/waitq.js');
        const model = buildWaitq(subject, queue, options.simple);
        return { model, lines: () => waitqText(model) };
      });
    });
  example(command, 'exhume waitq vmcore log_wait', 'who waits for the kernel log');
}
