import { type Command, Option } from 'commander';
import { ExhumeError } from '../../bytes/errors.js';
import { example } from '../command.js';
import type { Session, SharedOptions } from '../session.js';
import { addConversionOptions, type ConversionOptions } from './convert.js';
import { optionsOf } from './shared.js';

interface GuestsOptions extends SharedOptions, ConversionOptions {
  readonly verbose?: boolean;
  readonly extract?: string;
  readonly vmcs?: string;
  readonly solve?: boolean;
  readonly as?: SolvedForm;
}

/** Forms of a layout that is derived. */
const SOLVED_FORMS = ['table', 'vmcsinfo', 'note', 'row'] as const;
export type SolvedForm = (typeof SOLVED_FORMS)[number];

/** `exhume guests`. */
export function defineGuests(program: Command, session: Session): void {
  const command = program
    .command('guests')
    .summary('the virtual machines inside, and a dump of one')
    .description(
      'Lists the machines that a host ran, found in its memory: the process of each, its kernel, its CPUs and where ' +
        'they were. Every other command works on one of them with --guest. --extract writes one as a dump of its own, ' +
        'with the options of convert.',
    )
    .argument('[file...]', 'a dump of a host; all files of a split one')
    .option('-v, --verbose', 'look at all pages of each guest, and tell how everything was found')
    .option('--extract <guest>', 'write this guest, named as with --guest, as a dump: to the file of -o')
    .option(
      '--vmcs <page>',
      'show the VMCS or VMCB at this physical address, field by field; without a dump: of this file',
    )
    .option('--solve', "derive how the host's processor lays out VMCSs, from the host's own memory")
    .addOption(
      new Option('--as <form>', 'with --solve: table, or a VMCSINFO text, an ELF note, a row of our table').choices(
        SOLVED_FORMS,
      ),
    );
  addConversionOptions(command);
  command.action(async (files: string[]) => {
    const options = optionsOf<GuestsOptions>(command);
    const { extract, output, vmcs, solve, as, ...rest } = options;
    if (vmcs !== undefined) {
      const { controlAnswer } = await import('../control.js');
      await session.answer(options, async () => controlAnswer(files, { ...options, vmcs }));
      return;
    }
    if (files.length === 0) {
      const error = new ExhumeError('EXH_USAGE', 'name the dump', { hint: 'exhume guests vmcore' });
      session.fail(error, options.json ?? false);
      return;
    }
    if (as !== undefined && solve !== true) {
      session.fail(new ExhumeError('EXH_USAGE', '--as is for what --solve derives'), options.json ?? false);
      return;
    }
    if (solve === true) {
      const { runSolve } = await import('../solve.js');
      await runSolve(session, files, as ?? 'table', options);
      return;
    }
    if (extract !== undefined) {
      const { runExtract } = await import('../extract.js');
      await runExtract(session, files, extract, output, rest);
      return;
    }
    await session.answer(options, async () => {
      const { subject } = await session.open(files, options);
      const { buildGuests } = await import('../../report/guests.js');
      const { guestsText } = await import('../../report/text/guests.js');
      const model = buildGuests(subject, { pages: options.verbose });
      return { model, lines: (text) => guestsText(model, options.verbose ?? false, text) };
    });
  });
  example(command, 'exhume guests vmcore', 'which virtual machines did this host run?');
  example(command, 'exhume log vmcore --guest web1', "one's kernel log");
  example(command, 'exhume guests vmcore --vmcs 0x27c4000', 'what the processor kept of a virtual CPU');
  example(command, 'exhume guests vmcore --solve --as note -o vmcsinfo', 'how an unknown Intel processor keeps them');
  example(command, 'exhume guests vmcore --extract web1 -o web1.kdump', 'a dump of it, for any tool');
}
