import type { PlainError } from '../../bytes/plain-error.js';
import type { RecordDescription } from '../../pstore/description.js';
import type { GuestUsage } from '../../pstore/node/store.js';
import type { StoreSettings } from '../../pstore/policy.js';
import type { NewRecord, StoredRecord, Written } from '../../pstore/record-store.js';

/** What the thread that keeps the records is started with. */
export interface StoreStart {
  readonly directory: string;
  readonly settings: StoreSettings;
}

/** What it is asked, in this order; one after the other. */
export type StoreRequest =
  | { readonly kind: 'reset' | 'close'; readonly guest: string }
  | { readonly kind: 'configure'; readonly settings: StoreSettings }
  | ({ readonly id: number } & StoreQuestion);

/** Those that are answered. */
export type StoreQuestion =
  | { readonly kind: 'begin' | 'end' }
  | { readonly kind: 'guest' | 'open'; readonly guest: string }
  | { readonly kind: 'next'; readonly guest: string; readonly most: number }
  | { readonly kind: 'write'; readonly guest: string; readonly record: NewRecord; readonly again: boolean }
  | { readonly kind: 'erase'; readonly guest: string; readonly type: number; readonly record: number };

export interface StoreAnswers {
  readonly begin: undefined;
  readonly guest: undefined;
  readonly open: boolean;
  readonly next: StoredRecord | undefined;
  readonly write: Written;
  readonly erase: boolean;
  readonly end: undefined;
}

export type StoreResponse =
  | { readonly id: number; readonly answer: StoreAnswers[keyof StoreAnswers] }
  | { readonly id: number; readonly error: PlainError }
  | { readonly described: RecordDescription; readonly path: string }
  /** Of guests for which it may have changed. */
  | { readonly usage: ReadonlyMap<string, GuestUsage> };
