import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume info`. */
export function defineInfo(program: Command, session: Session): void {
  const command = program
    .command('info')
    .summary('what the file is: header, notes, registers, how the kernel was found')
    .description(
      'Shows every header field in words, the notes, all registers of each CPU, VMCOREINFO, ' +
        'and the evidence for where the kernel is.',
    )
    .argument('<file...>', 'a dump; all files of a split one')
    .option('--raw', 'field by field as well: offset, size, type, bytes, value')
    .action(async (files: string[]) => {
      const options = optionsOf<{ raw?: boolean }>(command);
      await session.answer(options, async () => {
        const { subject, bytes } = await session.open(files, options);
        const { buildInfo } = await import('../../report/info.js');
        const { infoText } = await import('../../report/text/info.js');
        const model = buildInfo(subject, { bytes, raw: options.raw });
        return { model, lines: (text) => infoText(model, text), tellsDamage: true };
      });
    });
  example(command, 'exhume info vmcore', 'what is this file?');
  example(command, 'exhume info vmcore --raw', 'its structures, field by field, with offsets and bytes');
}
