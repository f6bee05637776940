import { type Command, InvalidArgumentError, Option } from 'commander';
import { OUTPUT_FORMATS } from '../../convert/outcome.js';
import { example } from '../command.js';
import type { Session, SharedOptions } from '../session.js';
import { optionsOf, wholeNumber } from './shared.js';

/** What is said of the dump that is written. */
export interface ConversionOptions {
  readonly format?: (typeof OUTPUT_FORMATS)[number];
  readonly compress?: (typeof COMPRESSIONS)[number];
  readonly level?: number;
  readonly exclude?: string;
  readonly dumpLevel?: number;
  readonly keep?: 'kernel';
  readonly scrub?: 'user';
  readonly dryRun?: boolean;
  readonly split?: number;
  readonly jobs?: number;
  readonly progress: 'auto' | 'json' | 'none';
}

export interface ConvertCommandOptions extends SharedOptions, ConversionOptions {
  readonly fixOnly?: boolean;
  readonly addNote?: string;
  readonly reassemble?: boolean;
}

/** `lzo` is what makedumpfile and QEMU call lzo1x. */
const COMPRESSIONS = ['zlib', 'lzo', 'snappy', 'zstd', 'none'] as const;

/** `exhume convert`. */
export function defineConvert(program: Command, session: Session): void {
  const command = program
    .command('convert')
    .summary('make another dump of a dump: filtered, recompressed, in another format')
    .description(
      'Writes a dump anew, in any format, with a header that is right: dumps that QEMU wrote can then be read by ' +
        'crash, drgn and makedumpfile. Pages can be left out by what the kernel used them for.',
    )
    .argument('<file...>', 'a dump (all files of a split one), then the file to write; - is standard input and output')
    .option('--fix-only', 'copy the dump and make its header right; pages stay as they are')
    .option('--add-note <file>', 'put the ELF note in this file (a VMCSINFO note, or its text) into the dump')
    .option('--reassemble', 'the files are a split dump: make one file of them');
  addConversionOptions(command);
  command.action(async (files: string[]) => {
    const options = optionsOf<ConvertCommandOptions>(command);
    const { runConvert } = await import('../convert.js');
    await runConvert(session, files, options);
  });
  example(
    command,
    'exhume convert vmcore.elf vmcore.kdump',
    'compress a dump; QEMU dumps become readable by other tools',
  );
  example(command, 'exhume convert -d 31 --compress zstd vmcore small', 'leave out all that is seldom looked at');
  example(command, 'exhume convert -d 31 --dry-run vmcore small', 'how much would that save?');
  example(command, 'ssh host cat vmcore | exhume convert - --format elf vmcore.elf', 'from a pipe');
}

/** The options that say what a dump is to be, for every command that writes one. */
export function addConversionOptions(command: Command): void {
  command
    .addOption(
      new Option('--format <format>', 'what to write (default: kdump; flattened to standard output)').choices(
        OUTPUT_FORMATS,
      ),
    )
    .addOption(
      new Option(
        '--compress <method>',
        "how to compress pages (default: the input's method where it has one, else zlib)",
      ).choices(COMPRESSIONS),
    )
    .addOption(
      new Option('--level <n>', "level of compression, the method's own; all pages are compressed anew").argParser(
        wholeNumber,
      ),
    )
    .option('--exclude <classes>', 'pages to leave out: zero,cache,private,user,free, or some of them')
    .addOption(
      new Option('-d, --dump-level <n>', "the same as makedumpfile's number, 0 to 31").argParser((text) =>
        upTo(text, 31),
      ),
    )
    .addOption(
      new Option('--keep <what>', 'kernel: leave out all that exhume needs for no answer about the kernel').choices([
        'kernel',
      ]),
    )
    .addOption(
      new Option(
        '--scrub <what>',
        'user: leave out pages of users, and blank their data in buffers of the kernel',
      ).choices(['user']),
    )
    .option('--dry-run', 'write nothing: tell what each class would save, and about how large the dump would be')
    .addOption(new Option('--split <n>', 'write n files, OUT.1 and so on, as makedumpfile --split').argParser(several))
    .addOption(
      new Option('--jobs <n>', 'threads that read and compress (default: one for each CPU)').argParser(positive),
    )
    .addOption(
      new Option('--progress <how>', 'progress on stderr; auto: on a terminal')
        .choices(['auto', 'json', 'none'])
        .default('auto'),
    );
}

function upTo(text: string, most: number): number {
  const value = wholeNumber(text);
  if (value > most) throw new InvalidArgumentError(`It is at most ${most}.`);
  return value;
}

function positive(text: string): number {
  const value = upTo(text, 256);
  if (value === 0) throw new InvalidArgumentError('It is at least 1.');
  return value;
}

function several(text: string): number {
  const value = upTo(text, 1024);
  if (value < 2) throw new InvalidArgumentError('It is at least 2.');
  return value;
}
