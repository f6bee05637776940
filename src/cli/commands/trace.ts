import { type Command, InvalidArgumentError, Option } from 'commander';
import { example } from '../command.js';
import type { Session, SharedOptions } from '../session.js';
import { cpuList } from './cpu-list.js';
import { collect, memoryOption, optionsOf } from './shared.js';

/** What `--format` may be. */
export const TRACE_FORMATS = [
  'text',
  'raw',
  'restarted',
  'json',
  'folded',
  'perfetto',
  'trace.dat',
  'trace.dat-v6',
] as const;
export type TraceFormat = (typeof TRACE_FORMATS)[number];

export interface TraceCommandOptions extends SharedOptions {
  readonly list?: boolean;
  readonly stats?: boolean;
  readonly buffer?: string;
  readonly spare?: boolean;
  readonly persistent?: boolean;
  readonly handover?: boolean;
  readonly memory?: string;
  readonly cpu?: readonly number[];
  readonly event?: readonly string[];
  readonly since?: string;
  readonly until?: string;
  readonly pid?: readonly number[];
  readonly comm?: readonly string[];
  readonly filter?: readonly string[];
  readonly raw?: boolean;
  readonly format: TraceFormat;
  readonly formats?: string;
  readonly progress: 'auto' | 'json' | 'none';
}

/** `exhume trace`. */
export function defineTrace(program: Command, session: Session): void {
  const command = program
    .command('trace')
    .summary('the trace that the kernel was keeping (ftrace)')
    .description(
      'Shows the ftrace buffers that a dead kernel left, as /sys/kernel/tracing/trace would: out of a dump, a persistent ' +
        'ring buffer, a trace.dat, a copy of tracefs, a kexec handover. Or writes them for trace-cmd, KernelShark and Perfetto.',
    )
    .argument('<file>', 'a dump, a persistent ring buffer, a trace.dat, a directory with a copy of tracefs, a handover')
    .option('--list', 'only which buffers there are')
    .option('--stats', 'count the events of a buffer, tell what its stats files say')
    .option('--buffer <name>', 'the buffer of this instance; top is the top level, where nothing is said')
    .option('--spare', "the buffer's spare: its snapshot")
    .option('--persistent', 'look through all memory for persistent ring buffers')
    .option('--handover', 'what a kexec handover in the dump brings, not what its kernel was keeping')
    .addOption(memoryOption())
    .option('--cpu <cpus>', 'only these CPUs: 0,2-3', cpuList)
    .option('--event <glob>', 'only these events: sched_switch, irq:*, *write*; may be repeated', collect)
    .option('--since <time>', "only from this time of the trace's clock on, as the text shows it", traceTime)
    .option('--until <time>', 'only up to this time', traceTime)
    .option('--pid <pids>', 'only of these threads: 1,4711', numbers)
    .option('--comm <glob>', 'only of threads of this name; may be repeated', collect)
    .option('--filter <filter>', "the kernel's event filters: 'prev_pid == 1'; may be repeated", collect)
    .option('-r, --raw', 'all fields of the events, not what the kernel says of them; as --format raw')
    .addOption(
      new Option('--format <format>', 'what is written; json: one object a line')
        .choices(TRACE_FORMATS)
        .default('text'),
    )
    .option('--formats <from>', 'the kernel that wrote it: a dump of it, its vmlinuz, a copy of its tracefs')
    .addOption(
      new Option('--progress <how>', 'progress on stderr; auto: on a terminal')
        .choices(['auto', 'json', 'none'])
        .default('auto'),
    )
    .action(async (file: string) => {
      const options = optionsOf<TraceCommandOptions>(command);
      const { runTrace } = await import('../trace.js');
      await runTrace(session, file, options);
    });
  example(command, 'exhume trace vmcore', 'what the kernel traced last');
  example(command, 'exhume trace vmcore --stats', 'which events, and how many');
  example(command, "exhume trace vmcore --event 'sched:*' --cpu 1", 'only some');
  example(command, 'exhume trace vmcore --format perfetto -o trace.pftrace', 'for ui.perfetto.dev');
  example(command, 'exhume trace region.bin --formats vmlinuz', 'a persistent ring buffer');
  example(command, 'exhume trace kho/out --memory vmcore', 'what the tree of a kexec handover leads to');
}

/** Seconds with a fraction, or a number of ticks of clocks that count others. */
function traceTime(text: string): string {
  if (!/^\d+(\.\d{1,9})?$/.test(text)) throw new InvalidArgumentError('It is not a time as 12.345678.');
  return text;
}

function numbers(text: string): number[] {
  const values = text.split(',').map(Number);
  if (!/^\d+(,\d+)*$/.test(text) || values.some((value) => !Number.isSafeInteger(value))) {
    throw new InvalidArgumentError('It is not a list of numbers.');
  }
  return values;
}
