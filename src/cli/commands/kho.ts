import { Argument, type Command, Option } from 'commander';
import { ExhumeError } from '../../bytes/errors.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import type { Target } from '../../handover/check/target.js';
import type { Handover } from '../../handover/model.js';
import { example } from '../command.js';
import type { Answer, Session, SharedOptions } from '../session.js';
import { optionsOf } from './shared.js';

type Action = 'show' | 'map' | 'check' | 'extract';
type KhoOptions = SharedOptions & { readonly target?: string };

/** `exhume kho`. */
export function defineKho(program: Command, session: Session): void {
  const command = program
    .command('kho')
    .summary('what a kernel hands over to the next one in a kexec')
    .description(
      'Shows kexec handovers (KHO): the tree with everything in it in words, the memory that is preserved, and for whom, ' +
        'or what the next kernel would refuse or lose; takes out what was handed over. Of all upstream versions, and of the series of 2023/24.',
    )
    .addArgument(
      new Argument(
        '<action>',
        'show: the tree; map: the memory; check: what goes wrong (exit status 1 when something does); extract: bytes, to a file',
      ).choices(['show', 'map', 'check', 'extract']),
    )
    .argument('<path>', 'a tree, a directory copied from /sys/kernel/debug/kho, or a dump of either kernel')
    .argument('[name]', 'extract: a user, a reserve_mem area, a file (session/token)')
    .addOption(new Option('--target <path>', 'check: a dump or tree of the kernel that is to take it'))
    .action(async (action: Action, path: string, name: string | undefined) => {
      const options = optionsOf<KhoOptions>(command);
      if (action !== 'extract') return session.answer(options, () => answer(session, action, path, name, options));
      // The file of -o is for the bytes.
      const { output, ...rest } = options;
      return session.answer(rest, () => extract(session, path, name, output, rest));
    });
  example(command, 'exhume kho show vmcore', 'what was handed over, in words');
  example(command, 'exhume kho map vmcore', 'which memory is preserved, and by whom');
  example(command, 'exhume kho show kho/out/fdt', 'a tree, also one that the kernel cut off');
  example(command, 'exhume kho extract vmcore vm/7 -o memory', 'the bytes of a memfd that was preserved');
  example(command, 'exhume kho check vmcore --target other-vmcore', 'would the kernel of another dump take it?');
}

async function answer(
  session: Session,
  action: Action,
  path: string,
  name: string | undefined,
  options: KhoOptions,
): Promise<Answer> {
  if (name !== undefined) throw new ExhumeError('EXH_USAGE', `${action} takes no name`, { hint: 'extract does' });
  if (action !== 'check') refuseTarget(action, options);
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

async function extract(
  session: Session,
  path: string,
  name: string | undefined,
  output: string | undefined,
  options: KhoOptions,
): Promise<Answer> {
  refuseTarget('extract', options);
  if (name === undefined || output === undefined || output === '-') {
    throw new ExhumeError('EXH_USAGE', 'name what to extract, and the file to write', { hint: 'PATH NAME -o FILE' });
  }
  const { handovers, memory } = await open(session, path, options);
  if (memory === undefined) {
    throw new ExhumeError('EXH_USAGE', `${path} has no memory to extract from`, { hint: 'name a dump' });
  }
  const { copyExtract, findExtract } = await import('../../handover/extract.js');
  const { OutputFile } = await import('../../bytes/node/output-file.js');
  const { buildKhoExtract } = await import('../../report/kho-extract.js');
  const { khoExtractText } = await import('../../report/text/kho-extract.js');
  const found = findExtract(handovers, name);
  const file = OutputFile.create(output);
  try {
    copyExtract(found, memory, file);
    file.commit();
  } finally {
    file.abort();
  }
  const model = buildKhoExtract(found, output);
  return { model, lines: () => khoExtractText(model) };
}

function refuseTarget(action: Action, { target }: KhoOptions): void {
  if (target === undefined) return;
  throw new ExhumeError('EXH_USAGE', `${action} has no target`, { hint: '--target belongs to check' });
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
