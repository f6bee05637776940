import type { Command } from 'commander';
import type { PsStyle } from '../../report/text/ps.js';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { cpuList } from './cpu-list.js';
import { optionsOf } from './shared.js';

interface PsCommandOptions {
  readonly kernelThreads?: boolean;
  readonly user?: boolean;
  readonly leaders?: boolean;
  readonly active?: boolean;
  readonly policy?: string;
  readonly cpu?: readonly number[];
  readonly parents?: boolean;
  readonly children?: boolean;
  readonly threads?: boolean;
  readonly stack?: boolean;
  readonly times?: boolean;
  readonly lastRun?: boolean;
  readonly sinceLastRun?: boolean;
  readonly summary?: boolean;
  readonly arguments?: boolean;
  readonly limits?: boolean;
  /** `--no-header`. */
  readonly header?: boolean;
}

/** `exhume ps`. */
export function definePs(program: Command, session: Session): void {
  const command = program
    .command('ps')
    .summary('the tasks')
    .description(
      'Shows every thread of the dead kernel: state, CPU, parent, memory. ">" marks those that a CPU was running; ' +
        'of tasks in uninterruptible sleep it tells for how long.',
    )
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .argument('[task...]', 'only these: pids, task_struct addresses, names of commands')
    .option('-k, --kernel-threads', 'kernel threads only')
    .option('-u, --user', 'user tasks only')
    .option('-G, --leaders', 'leaders of thread groups only')
    .option('-A, --active', 'tasks that a CPU was running only')
    .option('-y, --policy <policies>', 'tasks of these scheduling policies only: FIFO,RR, or numbers')
    .option('-C, --cpu <cpus>', 'tasks of these CPUs only: 0,2-3', cpuList)
    .option('-s, --stack', 'the kernel stack pointer in place of the task')
    .option('-p, --parents', 'the chain of parents of each task')
    .option('-c, --children', 'the children of each task')
    .option('-g, --threads', 'the threads of each group')
    .option('-a, --arguments', 'the arguments and the environment of each task’s program')
    .option('-r, --limits', 'the resource limits of each task')
    .option('-t, --times', 'run time, start time, time in user mode and in the kernel')
    .option('-l, --last-run', 'when each came onto a CPU last, the latest first')
    .option('-m, --since-last-run', 'the same as time that passed since')
    .option('-S, --summary', 'how many tasks are in which state')
    .option('-H, --no-header', 'no line with the names of the columns')
    .action(async (file: string, selectors: string[]) => {
      const options = optionsOf<PsCommandOptions>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildPs } = await import('../../report/ps.js');
        const { psText } = await import('../../report/text/ps.js');
        const model = buildPs(subject, {
          selectors,
          kind: options.kernelThreads ? 'kernel' : options.user ? 'user' : undefined,
          leaders: options.leaders,
          active: options.active,
          policies: options.policy?.split(','),
          cpus: options.cpu,
          programs: options.arguments,
          limits: options.limits,
          byLastRun: options.lastRun === true || options.sinceLastRun === true,
          relation: options.parents
            ? 'parents'
            : options.children
              ? 'children'
              : options.threads
                ? 'threads'
                : undefined,
        });
        return { model, lines: (text) => psText(model, styleOf(options), text, options.header) };
      });
    });
  example(command, 'exhume ps vmcore', 'all tasks');
  example(command, 'exhume ps vmcore -A', 'what the CPUs were running');
  example(command, 'exhume ps vmcore -m sshd', 'when tasks named sshd ran last');
  example(command, 'exhume ps vmcore -p 1234', 'who started task 1234');
}

function styleOf(options: PsCommandOptions): PsStyle {
  if (options.summary) return 'summary';
  if (options.arguments) return 'programs';
  if (options.limits) return 'limits';
  if (options.times) return 'times';
  if (options.lastRun) return 'lastRun';
  if (options.sinceLastRun) return 'sinceLastRun';
  return options.stack ? 'stack' : 'table';
}
