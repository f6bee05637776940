import type { Trace } from '../model.js';

/** What printing needs to know of the trace. A `Trace` is one. */
export interface PrintContext extends Pick<Trace, 'formats' | 'names' | 'littleEndian' | 'longSize'> {
  /**
   * The `trace_options` of the buffer: `hash-ptr` prints pointers as hashes, `bitmask-list` masks as lists.
   * Undefined: not told; then as the kernel does by default.
   */
  readonly options?: ReadonlySet<string> | undefined;
}
