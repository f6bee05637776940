import type { PlainError } from '../../bytes/plain-error.js';
import type { WrittenNote } from '../../dump/description.js';
import type { RawRange } from '../../dump/raw.js';
import type { GuestLayout } from '../../hypervisor/guest-layout.js';
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
  /** Of a qcow2 image: which one. */
  readonly snapshot?: string;
  /** The dump is of this guest in it: a path, as `selectGuest` takes it. */
  readonly guest?: string;
  /** Where that guest's pages are, so that nobody has to find it again; undefined where that cannot be handed around. */
  readonly layout?: GuestLayout;
  /** Notes that go with the dump, in the place of its own of the same name: they tell how a guest's CPUs are laid out. */
  readonly notes?: readonly WrittenNote[];
}

/** What a thread begins with. */
export interface ThreadData {
  readonly input: SharedInput;
  /** One element, shared: not zero when no task is to be begun any more. */
  readonly ending: Int32Array;
}

/** To a thread. */
export type Request =
  | { readonly kind: 'configure'; readonly settings: PackSettings }
  | { readonly kind: 'task'; readonly id: number; readonly task: Task }
  /** There is nothing more to do. */
  | { readonly kind: 'end' };

/** From a thread. */
export type Response =
  | { readonly id: number; readonly result: Packed | Scanned }
  | { readonly id: number; readonly error: PlainError };
