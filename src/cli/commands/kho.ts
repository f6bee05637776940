import { Argument, type Command, Option } from 'commander';
import { ExhumeError } from '../../bytes/errors.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import type { Target } from '../../handover/check/target.js';
import type { Handover } from '../../handover/model.js';
import { example } from '../command.js';
import type { Answer, Session, SharedOptions } from '../session.js';
import { optionsOf } from './shared.js';

type Action = 'show' | 'map' | 'check';
type KhoOptions = SharedOptions & { readonly target?: string };

/** `exhume kho`. */
export function defineKho(program: Command, session: Session): void {
  const command = program
    .command('kho')
    .summary('what a kernel hands over to the next one in a kexec')
    .description(
      'Shows kexec handovers (KHO): the tree with everything in it in words, the memory that is preserved, and for whom, ' +
        'or what the next kernel would refuse or lose. Of all upstream versions, and of the series of 2023/24.',
    )
    .addArgument(
      new Argument(
        '<action>',
        'show: the tree; map: the memory; check: what goes wrong (exit status 1 when something does)',
      ).choices(['show', 'map', 'check']),
    )
    .argument('<path>', 'a tree, a directory copied from /sys/kernel/debug/kho, or a dump of either kernel')
    .addOption(new Option('--target <path>', 'check: a dump or tree of the kernel that is to take it'))
    .action(async (action: Action, path: string) => {
      const options = optionsOf<KhoOptions>(command);
      await session.answer(options, () => answer(session, action, path, options));
    });
  example(command, 'exhume kho show vmcore', 'what was handed over, in words');
  example(command, 'exhume kho map vmcore', 'which memory is preserved, and by whom');
  example(command, 'exhume kho show kho/out/fdt', 'a tree, also one that the kernel cut off');
  example(command, 'exhume kho check vmcore --target other-vmcore', 'would the kernel of another dump take it?');
}

async function answer(session: Session, action: Action, path: string, options: KhoOptions): Promise<Answer> {
  if (options.target !== undefined && action !== 'check') {
    throw new ExhumeError('EXH_USAGE', `${action} has no target`, { hint: '--target belongs to check' });
  }
  const source = await open(session, path, options);
  if (action === 'check') return check(session, source, options.target);
  const { buildKho } = await import('../../report/kho.js');
  const { khoMapText, khoShowText } = await import('../../report/text/kho.js');
  const model = buildKho(source.handovers);
  return { model, lines: () => (action === 'map' ? khoMapText(model) : khoShowText(model)) };
}

async function check(session: Session, source: Opened, path: string | undefined): Promise<Answer> {
  const { buildKhoCheck } = await import('../../report/kho-check.js');
  const { khoCheckText } = await import('../../report/text/kho-check.js');
  const target = path === undefined ? undefined : await open(session, path, {});
  const model = buildKhoCheck({ ...source, target });
  return { model, lines: () => khoCheckText(model), failed: !model.passed };
}

/** Handovers, and the machine and kernel in which they were found. */
interface Opened extends Target {
  readonly handovers: readonly Handover[];
  /** Undefined: files are all there is. */
  readonly memory: PhysicalMemory | undefined;
}

async function open(session: Session, path: string, options: SharedOptions): Promise<Opened> {
  const { readHandoverFiles } = await import('../handover-files.js');
  const files = readHandoverFiles(path);
  if (files !== undefined) return { handovers: files, memory: undefined, release: undefined, takesHandovers: true };
  const { findHandovers, hasHandover } = await import('../../handover/open.js');
  const { isAbsence } = await import('../../report/absence.js');
  const { subject } = await session.open([path], options);
  const { memory } = subject.container;
  const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
  return {
    handovers: findHandovers(memory, kernel),
    memory,
    release: kernel?.release,
    takesHandovers: kernel === undefined || hasHandover(kernel),
  };
}
