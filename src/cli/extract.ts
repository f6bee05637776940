import { ExhumeError } from '../bytes/errors.js';
import type { ConversionOptions } from './commands/convert.js';
import { runConvert } from './convert.js';
import type { Session, SharedOptions } from './session.js';

/** `exhume guests --extract`: the conversion of a dump, of which only a guest is written. */
export async function runExtract(
  session: Session,
  files: readonly string[],
  guest: string,
  output: string | undefined,
  options: SharedOptions & ConversionOptions,
): Promise<void> {
  if (output === undefined) {
    const error = new ExhumeError('EXH_USAGE', 'name the file to write', { hint: '--extract NAME -o FILE' });
    session.fail(error, options.json ?? false);
    return;
  }
  // --guest leads to the machine that the guest is looked for in.
  const path = options.guest === undefined ? guest : `${options.guest}/${guest}`;
  const { part = [], ...rest } = options;
  await runConvert(session, [...files, ...part, output], { ...rest, guest: path });
}
