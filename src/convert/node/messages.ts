import { type ErrorCode, type ErrorData, ExhumeError } from '../../bytes/errors.js';
import type { RawRange } from '../../dump/raw.js';
import type { Packed, PackSettings, Scanned, Task } from '../tasks.js';

/** The input for a thread: files that are open in this process, and how they were opened as a dump. */
export interface SharedInput {
  readonly files: readonly {
    readonly name: string;
    readonly descriptor: number;
    readonly special: boolean;
    /** What of it is there, first byte and first one after by turns, where it was received only in part. */
    readonly extents?: Float64Array;
  }[];
  readonly format?: 'raw';
  readonly ranges?: readonly RawRange[];
  readonly live?: boolean;
  /** The dump is of this guest in it: a path, as `selectGuest` takes it. */
  readonly guest?: string;
}

/** To a thread. */
export type Request =
  | { readonly kind: 'configure'; readonly settings: PackSettings }
  | { readonly kind: 'task'; readonly id: number; readonly task: Task };

/** From a thread. */
export type Response =
  | { readonly id: number; readonly result: Packed | Scanned }
  | { readonly id: number; readonly error: PlainError };

/** An error as threads can hand it over. */
export interface PlainError {
  /** Undefined: not one of ours but a bug. */
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly data: ErrorData;
  readonly stack: string | undefined;
}

export function plainError(error: unknown): PlainError {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const own = error instanceof ExhumeError;
  return { code: own ? error.code : undefined, message, data: own ? error.data : {}, stack };
}

export function errorFrom({ code, message, data, stack }: PlainError): Error {
  if (code !== undefined) return new ExhumeError(code, message, data);
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
