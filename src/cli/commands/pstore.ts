import { Argument, type Command } from 'commander';
import { ExhumeError } from '../../bytes/errors.js';
import { example } from '../command.js';
import type { Answer, Session } from '../session.js';
import { optionsOf } from './shared.js';

type Action = 'ls' | 'cat' | 'rm' | 'extract';

interface PstoreOptions {
  readonly to?: string;
  readonly all?: boolean;
}

/** `exhume pstore`. */
export function definePstore(program: Command, session: Session): void {
  const command = program
    .command('pstore')
    .summary('the records that kernels kept across a reboot')
    .description(
      "Reads pstore records: a host's store of virtio-pstore, a directory that was copied from /sys/fs/pstore, or that " +
        'one itself. The parts of one oops or panic are decompressed and joined into one text.',
    )
    .addArgument(new Argument('<action>', 'what to do').choices(['ls', 'cat', 'rm', 'extract']))
    .argument('<path>', 'a store, a directory with records, or the file of one')
    .argument('[record...]', 'only these, by the names that ls shows')
    .option('--to <dir>', 'extract: where the texts go, a file for each dump and each other record')
    .option('--all', 'rm: every record')
    .action(async (action: Action, path: string, names: string[]) => {
      const options = optionsOf<PstoreOptions>(command);
      await session.answer(options, () => answer(action, path, names, options));
    });
  example(command, 'exhume pstore ls /var/lib/exhume', 'what is there, of every guest?');
  example(command, 'exhume pstore cat /var/lib/exhume/web', 'the last words of one guest');
  example(command, 'exhume pstore cat dmesg-3.enc.z', 'one record');
  example(command, 'exhume pstore extract /sys/fs/pstore --to crash', 'keep them before they are removed');
  example(command, 'exhume pstore rm /var/lib/exhume web/dmesg-3', 'one record, gone');
}

async function answer(action: Action, path: string, names: string[], { to, all }: PstoreOptions): Promise<Answer> {
  const { findRecords, loadRecord } = await import('../../pstore/node/read.js');
  const { buildPstoreCat, buildPstoreList, selectPstoreRecords } = await import('../../report/pstore.js');
  const { pstoreCatText, pstoreChangeText, pstoreListText } = await import('../../report/text/pstore.js');
  if (action === 'rm' && (names.length === 0) !== (all === true)) {
    throw new ExhumeError('EXH_USAGE', 'rm takes the names of records, or --all');
  }
  const records = selectPstoreRecords(findRecords(path), names);
  if (action === 'ls') {
    const model = buildPstoreList(records.map(loadRecord));
    return { model, lines: () => pstoreListText(model) };
  }
  if (action === 'cat') {
    const model = buildPstoreCat(records.map(loadRecord));
    return { model, lines: () => pstoreCatText(model) };
  }
  const { extractRecords, removeRecords } = await import('../pstore.js');
  const model = action === 'rm' ? removeRecords(records) : extractRecords(records, to);
  return { model, lines: () => pstoreChangeText(model) };
}
