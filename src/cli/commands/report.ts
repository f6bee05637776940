import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf, wholeNumber } from './shared.js';

/** `exhume report`, and `exhume FILE`. */
export function defineReport(program: Command, session: Session): void {
  const command = program
    .command('report', { isDefault: true })
    .summary('everything that matters, on one page (the default command)')
    .description(
      'Says which kernel it was, why it died, when and where; then the registers with symbols, the end of the log, ' +
        'how all this was found, and what was damaged.',
    )
    .argument('<file...>', 'a dump; all files of a split one')
    .option('--log-lines <n>', 'how many lines of the log to show', wholeNumber, 20)
    .action(async (files: string[]) => {
      const options = optionsOf<{ logLines: number }>(command);
      await session.answer(options, async () => {
        const { subject, bytes } = await session.open(files, options);
        const { buildReport } = await import('../../report/report.js');
        const { reportText } = await import('../../report/text/report.js');
        const model = buildReport(subject, { bytes, logLines: options.logLines });
        return { model, lines: (text) => reportText(model, text), tellsDamage: true };
      });
    });
  example(command, 'exhume vmcore', 'why did it die?');
  example(command, 'exhume report vmcore --json | jq .crash.reason', 'the same, for a program');
  example(command, 'exhume part1 part2 part3', 'a dump that was written with makedumpfile --split');
}
