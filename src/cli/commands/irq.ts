import type { Command } from 'commander';
import type { IrqStyle } from '../../report/text/irq.js';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { cpuList } from './cpu-list.js';
import { optionsOf, wholeNumber } from './shared.js';

interface IrqCommandOptions {
  readonly used?: boolean;
  readonly affinity?: boolean;
  readonly counts?: boolean;
  readonly cpu?: readonly number[];
  readonly bottom?: boolean;
  readonly descriptors?: boolean;
}

/** `exhume irq`. */
export function defineIrq(program: Command, session: Session): void {
  const command = program
    .command('irq')
    .summary('the interrupts')
    .description('Shows the interrupt lines and who is called for them, with their CPUs and counts if wanted.')
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .argument('[number...]', 'only these interrupts', collectNumbers)
    .option('-u, --used', 'only lines that have a descriptor')
    .option('-a, --affinity', 'the CPUs that may take each')
    .option('-s, --counts', 'how often each CPU took each')
    .option('-c, --cpu <cpus>', 'for --counts: only these CPUs: 0,2-3', cpuList)
    .option('-b, --bottom', 'what is run for each kind of softirq')
    .option('-d, --descriptors', 'the interrupt descriptor table')
    .action(async (file: string, numbers: number[] | undefined) => {
      const options = optionsOf<IrqCommandOptions>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildIrq } = await import('../../report/irq.js');
        const { irqText } = await import('../../report/text/irq.js');
        const model = buildIrq(subject, {
          numbers,
          cpus: options.cpu,
          softirqs: options.bottom,
          gates: options.descriptors,
        });
        return { model, lines: () => irqText(model, styleOf(options)) };
      });
    });
  example(command, 'exhume irq vmcore', 'all lines, and whose they are');
  example(command, 'exhume irq vmcore -s', 'as /proc/interrupts had it');
  example(command, 'exhume irq vmcore -d', 'where each vector leads');
}

function styleOf(options: IrqCommandOptions): IrqStyle {
  if (options.bottom) return 'softirqs';
  if (options.descriptors) return 'gates';
  if (options.affinity) return 'affinity';
  if (options.counts) return 'counts';
  return options.used ? 'used' : 'table';
}

function collectNumbers(text: string, before: readonly number[] | undefined): number[] {
  return [...(before ?? []), wholeNumber(text)];
}
