import { type Command, Option } from 'commander';
import { example } from '../command.js';
import type { Answer, Session, SharedOptions } from '../session.js';
import { optionsOf, wholeNumber } from './shared.js';

interface ReportFlags {
  readonly format?: 'text' | 'json' | 'html';
  readonly logLines: number;
  readonly signature?: boolean;
}

/** `exhume report`, and `exhume FILE`. */
export function defineReport(program: Command, session: Session): void {
  const command = program
    .command('report', { isDefault: true })
    .summary('everything that matters, on one page (the default command)')
    .description(
      'Says which kernel it was, why it died, when and where, and who says so; then the stacks, who was blocked, memory, ' +
        'registers with symbols, the end of the log, how all this was found, and what was damaged.',
    )
    .argument('<file...>', 'a dump; all files of a split one')
    .addOption(
      new Option(
        '--format <format>',
        'html is one page that holds everything and asks the network for nothing',
      ).choices(['text', 'json', 'html']),
    )
    .option('--signature', 'only what the crash is known by, the same on every machine, and how it was derived')
    .option('--log-lines <n>', 'how many lines of the log to show', wholeNumber, 20)
    .action(async (files: string[]) => {
      const flags = optionsOf<ReportFlags>(command);
      const options = { ...flags, json: flags.json === true || flags.format === 'json' };
      await session.answer(options, () => answer(session, files, options));
    });
  example(command, 'exhume vmcore', 'why did it die?');
  example(command, 'exhume report vmcore --format html -o vmcore.html', 'a page to read, print and pass on');
  example(command, 'exhume report vmcore --signature', 'is it the same crash as another one?');
  example(command, 'exhume report vmcore --json | jq .cause.text', 'why did it die, for a program');
  example(command, 'exhume part1 part2 part3', 'a dump that was written with makedumpfile --split');
}

async function answer(session: Session, files: string[], options: ReportFlags & SharedOptions): Promise<Answer> {
  const { subject, bytes } = await session.open(files, options);
  const { buildReport, buildSignature } = await import('../../report/report.js');
  if (options.signature === true) {
    const { signatureText } = await import('../../report/text/diagnosis.js');
    const model = buildSignature(subject);
    return { model, lines: (text) => signatureText(model, text) };
  }
  if (options.format === 'html' && options.json !== true) {
    const { reportPage } = await import('../../report/html/page.js');
    const model = buildReport(subject, { bytes, logLines: options.logLines, wholeLog: true });
    return { model, lines: () => reportPage(model), tellsDamage: true };
  }
  const { reportText } = await import('../../report/text/report.js');
  const model = buildReport(subject, { bytes, logLines: options.logLines });
  return { model, lines: (text) => reportText(model, text), tellsDamage: true };
}
