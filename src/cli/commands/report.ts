import { type Command, Option } from 'commander';
import type { PstoreRecord } from '../../pstore/record.js';
import type { ReportOptions } from '../../report/report.js';
import type { SignatureDocument } from '../../report/schema/diagnosis.js';
import type { Report } from '../../report/schema/report.js';
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
    .argument('<file...>', 'a dump; all files of a split one; or pstore records, or a directory of them')
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
  example(command, 'exhume report /var/lib/exhume/web', 'the last words of a guest, from its pstore records');
  example(command, 'exhume part1 part2 part3', 'a dump that was written with makedumpfile --split');
}

async function answer(session: Session, files: string[], options: ReportFlags & SharedOptions): Promise<Answer> {
  const { recordsOf } = await import('../pstore.js');
  const records = recordsOf(files);
  if (records !== undefined) return answerOnRecords(records, options);
  const { subject, bytes } = await session.open(files, options);
  const { buildReport, buildSignature } = await import('../../report/report.js');
  if (options.signature === true) return signatureAnswer(buildSignature(subject));
  return reportAnswer(options, (show) => buildReport(subject, { bytes, ...show }));
}

/** What pstore records tell is shown as what a memory dump tells. */
async function answerOnRecords(
  records: readonly PstoreRecord[],
  options: ReportFlags & SharedOptions,
): Promise<Answer> {
  const { buildPstoreReport, buildPstoreSignature } = await import('../../report/pstore-report.js');
  if (options.signature === true) return signatureAnswer(buildPstoreSignature(records, options.kernel));
  return reportAnswer(options, (show) => buildPstoreReport(records, show, options.kernel));
}

async function signatureAnswer(model: SignatureDocument): Promise<Answer> {
  const { signatureText } = await import('../../report/text/diagnosis.js');
  return { model, lines: (text) => signatureText(model, text) };
}

async function reportAnswer(
  { format, json, logLines }: ReportFlags & SharedOptions,
  build: (show: Omit<ReportOptions, 'bytes'>) => Report,
): Promise<Answer> {
  if (format === 'html' && json !== true) {
    const { reportPage } = await import('../../report/html/page.js');
    const model = build({ logLines, wholeLog: true });
    return { model, lines: () => reportPage(model), tellsDamage: true };
  }
  const { reportText } = await import('../../report/text/report.js');
  const model = build({ logLines });
  return { model, lines: (text) => reportText(model, text), tellsDamage: true };
}
