import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { cpuList } from './cpu-list.js';
import { optionsOf } from './shared.js';

interface RunqCommandOptions {
  readonly cpu?: readonly number[];
  readonly timestamps?: boolean;
  readonly sinceLastRun?: boolean;
  readonly debug?: boolean;
}

/** `exhume runq`. */
export function defineRunq(program: Command, session: Session): void {
  const command = program
    .command('runq')
    .summary('the run queues of the CPUs')
    .description('Shows for each CPU the task that it was running and the tasks that waited to run on it.')
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .option('-c, --cpu <cpus>', 'only these CPUs: 0,2-3', cpuList)
    .option('-t, --timestamps', "each queue's clock, and when its tasks came onto a CPU last")
    .option('-m, --since-last-run', 'how long each CPU had been running its task')
    .option('-d, --debug', 'every task that says that it is on a queue, whether it is found there or not')
    .action(async (file: string) => {
      const options = optionsOf<RunqCommandOptions>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildRunq } = await import('../../report/runq.js');
        const { runqText } = await import('../../report/text/runq.js');
        const model = buildRunq(subject, { cpus: options.cpu, debug: options.debug });
        const style = options.debug
          ? 'debug'
          : options.timestamps
            ? 'timestamps'
            : options.sinceLastRun
              ? 'sinceLastRun'
              : 'queues';
        return { model, lines: () => runqText(model, style) };
      });
    });
  example(command, 'exhume runq vmcore', 'what ran, and what waited to');
  example(command, 'exhume runq vmcore -m', 'how long each CPU had been at its task');
}
