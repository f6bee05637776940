import { type ErrorCode, ExhumeError } from '../bytes/errors.js';

/** Exit statuses; docs/errors.md lists them for people. */
export const EXIT = {
  /** Answered. */
  answered: 0,
  /** Answered in part: something was damaged or missing, and the answer says so. */
  inPart: 1,
  /** Wrong usage. */
  usage: 2,
  /** Not a file that exhume knows. */
  unknownFile: 3,
  /** Failed. */
  failed: 4,
} as const;

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

const BY_CODE: Partial<Record<ErrorCode, ExitStatus>> = {
  EXH_USAGE: EXIT.usage,
  EXH_NOT_A_DUMP: EXIT.unknownFile,
  EXH_UNSUPPORTED_FORMAT: EXIT.unknownFile,
};

/** The exit status that an error ends in. */
export function exitStatusOf(error: unknown): ExitStatus {
  return error instanceof ExhumeError ? (BY_CODE[error.code] ?? EXIT.failed) : EXIT.failed;
}
