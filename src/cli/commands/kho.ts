import { Argument, type Command } from 'commander';
import { example } from '../command.js';
import type { Answer, Session, SharedOptions } from '../session.js';
import { optionsOf } from './shared.js';

type Action = 'show' | 'map';

/** `exhume kho`. */
export function defineKho(program: Command, session: Session): void {
  const command = program
    .command('kho')
    .summary('what a kernel hands over to the next one in a kexec')
    .description(
      'Shows kexec handovers (KHO): the tree with everything in it in words, or the memory that is preserved, and for whom. ' +
        'Of all upstream versions, and of the series of 2023/24.',
    )
    .addArgument(new Argument('<action>', 'show: the tree; map: the memory').choices(['show', 'map']))
    .argument('<path>', 'a tree, a directory copied from /sys/kernel/debug/kho, or a dump of either kernel')
    .action(async (action: Action, path: string) => {
      const options = optionsOf<SharedOptions>(command);
      await session.answer(options, () => answer(session, action, path, options));
    });
  example(command, 'exhume kho show vmcore', 'what was handed over, in words');
  example(command, 'exhume kho map vmcore', 'which memory is preserved, and by whom');
  example(command, 'exhume kho show kho/out/fdt', 'a tree, also one that the kernel cut off');
}

async function answer(session: Session, action: Action, path: string, options: SharedOptions): Promise<Answer> {
  const { readHandoverFiles } = await import('../handover-files.js');
  const { buildKho } = await import('../../report/kho.js');
  const { khoMapText, khoShowText } = await import('../../report/text/kho.js');
  const model = buildKho(readHandoverFiles(path) ?? (await inDump(session, path, options)));
  return { model, lines: () => (action === 'map' ? khoMapText(model) : khoShowText(model)) };
}

async function inDump(session: Session, path: string, options: SharedOptions) {
  const { findHandovers } = await import('../../handover/open.js');
  const { isAbsence } = await import('../../report/absence.js');
  const { subject } = await session.open([path], options);
  return findHandovers(subject.container.memory, isAbsence(subject.kernel) ? undefined : subject.kernel);
}
