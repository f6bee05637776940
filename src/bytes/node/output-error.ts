import { type ErrorCode, ExhumeError } from '../errors.js';

/** No room on the medium, no room within a quota, larger than the file system or `ulimit -f` allows. */
const FULL: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the file system',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'larger than the file system or `ulimit -f` allows',
};

/** An error of the system while writing, as one of ours: EXH_NO_SPACE when the medium is full, else EXH_IO. */
export function outputError(name: string, action: string, error: unknown): ExhumeError {
  if (error instanceof ExhumeError) return error;
  const { code: reason, message } = error as NodeJS.ErrnoException;
  const full = FULL[reason ?? ''];
  const code: ErrorCode = full === undefined ? 'EXH_IO' : 'EXH_NO_SPACE';
  return new ExhumeError(
    code,
    `${name}: cannot ${action}: ${full ?? message}`,
    {
      file: name,
      ...(full === undefined ? {} : { hint: 'make room or write elsewhere; what stood there before is as it was' }),
    },
    { cause: error },
  );
}
