/**
 * Every error that exhume throws on purpose, with a stable `code`.
 * The catalogue for people is docs/errors.md; a test holds the two together.
 */
export const ERROR_CODES = [
  'EXH_USAGE',
  'EXH_IO',
  'EXH_NO_SPACE',
  'EXH_INTERRUPTED',
  'EXH_NOT_A_DUMP',
  'EXH_UNSUPPORTED_FORMAT',
  'EXH_TRUNCATED',
  'EXH_BAD_HEADER',
  'EXH_BAD_NOTE',
  'EXH_BAD_PAGE',
  'EXH_CODEC',
  'EXH_PAGE_EXCLUDED',
  'EXH_PAGE_LOST',
  'EXH_PAGE_ABSENT',
  'EXH_NOT_MAPPED',
  'EXH_BAD_ADDRESS',
  'EXH_UNKNOWN_ARCHITECTURE',
  'EXH_NO_KERNEL',
  'EXH_NO_GUEST',
  'EXH_NO_SYMBOL',
  'EXH_NO_LAYOUT',
  'EXH_NO_DEBUG_FILE',
  'EXH_BAD_STRUCTURE',
  'EXH_DEVICE_MEMORY',
  'EXH_DEVICE_RING',
  'EXH_DEVICE_PROTOCOL',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** What explains an error: offsets and addresses in bytes; what stood there; what should have. */
export interface ErrorData {
  readonly file?: string;
  /** File offset, in bytes. */
  readonly offset?: number;
  /** Physical address as a number, virtual address as a bigint. */
  readonly address?: number | bigint;
  readonly expected?: string | number | bigint;
  readonly found?: string | number | bigint;
  /** What the reader may try next. */
  readonly hint?: string;
  /** Anything else, for programs. */
  readonly [key: string]: unknown;
}

export class ExhumeError extends Error {
  override readonly name = 'ExhumeError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly data: ErrorData = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Is it one of ours, and (when codes are named) one of these? */
export function isExhumeError(error: unknown, ...codes: readonly ErrorCode[]): error is ExhumeError {
  return error instanceof ExhumeError && (codes.length === 0 || codes.includes(error.code));
}

/** What a step gives; undefined where it throws an error of ours (one of these, when codes are named): for facts that one can do without. */
export function orUndefined<T>(step: () => T, ...codes: readonly ErrorCode[]): T | undefined {
  try {
    return step();
  } catch (error) {
    if (isExhumeError(error, ...codes)) return undefined;
    throw error;
  }
}

/** Whatever was thrown, as an error. */
export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** What an error says, whatever was thrown. */
export function messageOf(error: unknown): string {
  return asError(error).message;
}

/**
 * Something in the input that is broken but did not stop the reading.
 * Shown beside the answer; any damage makes the exit status 1.
 */
export interface Damage {
  readonly code: ErrorCode;
  /** The part of the input that it touches: `notes`, `page descriptors`, `kernel log`. */
  readonly part: string;
  readonly message: string;
}

/** Turns an error of ours into damage of a part; anything else is a bug and is thrown on. */
export function damageOf(part: string, error: unknown): Damage {
  if (!(error instanceof ExhumeError)) throw error;
  return { code: error.code, part, message: error.message };
}
