import { type Command, InvalidArgumentError, Option } from 'commander';
import type { SharedOptions } from '../session.js';

/** The options of the program itself: they stand before or after the command's name. */
export function addSharedOptions(program: Command): void {
  program
    .addOption(new Option('--json', 'answer as one JSON document (schemas/*.schema.json)'))
    .addOption(
      new Option('--kernel <index>', 'which kernel of the dump; see the list in the report').argParser(wholeNumber),
    )
    .addOption(
      new Option(
        '--guest <guest>',
        'look at a virtual machine inside: its name, index, pid or UUID, a path a/b for one inside one',
      ),
    )
    .addOption(
      new Option(
        '--vmcsinfo <note>',
        'how VMCSs are laid out, for guests: a file, or address and size as in /sys/kernel/vmcsinfo',
      ),
    )
    .addOption(
      new Option(
        '--snapshot <snapshot>',
        'which savevm snapshot of a qcow2 image, by name or ID (default: the newest)',
      ),
    )
    .addOption(new Option('-o, --output <file>', 'write the answer to a file, which is there whole or not at all'))
    .addOption(new Option('--color <when>', 'colours in text').choices(['auto', 'always', 'never']).default('auto'))
    .addOption(new Option('--part <file>', 'another file of a split dump; may be repeated').argParser(collect))
    .addOption(new Option('--raw-memory', 'the file is a plain image of physical memory'))
    .addOption(
      new Option('--ranges <map>', 'for plain images: where its parts belong: START-END@OFFSET,…, END the last byte'),
    );
}

/** For commands that read a handover's files, which are no memory. */
export function memoryOption(): Option {
  return new Option('--memory <dump>', 'PATH is a handover in files: the dump whose memory it speaks of');
}

/** A command's own options together with the shared ones. */
export function optionsOf<T extends object>(command: Command): T & SharedOptions {
  return command.optsWithGlobals() as T & SharedOptions;
}

/** 0, 1, 2, … in decimal. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('It is not a whole number.');
  return value;
}

/** A whole number, decimal or `0x…`. */
export function count(text: string): number {
  const value = Number(text);
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('It is not a whole number.');
  }
  return value;
}

/** For options that may be repeated. */
export function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
}
