import { asError, type ErrorCode, type ErrorData, ExhumeError } from './errors.js';

/** An error as threads can hand it over. */
export interface PlainError {
  /** Undefined: not one of ours but a bug. */
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly data: ErrorData;
  readonly stack: string | undefined;
}

export function plainError(error: unknown): PlainError {
  const { message, stack } = asError(error);
  const own = error instanceof ExhumeError;
  return { code: own ? error.code : undefined, message, data: own ? error.data : {}, stack };
}

export function errorFrom({ code, message, data, stack }: PlainError): Error {
  if (code !== undefined) return new ExhumeError(code, message, data);
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
