import type { Handover, MemoryArea } from '../model.js';

/** What one place tells of a handover: a variable of the kernel, files of its sysfs. */
export interface Told {
  /** `kho_out.fdt`, `/sys/kernel/debug/kho/in`. */
  readonly place: string;
  readonly direction: Handover['direction'];
  /** Where the tree stands in memory. */
  readonly address?: number;
  /** The tree's pages lie apart in memory: only its first is at `address`. */
  readonly apart?: boolean;
  /** The tree itself, or its beginning. */
  readonly tree?: Uint8Array;
  /** What its users leave, by their names. */
  readonly blobs?: ReadonlyMap<string, Uint8Array>;
  readonly scratch?: readonly MemoryArea[];
  /** Where the list of live update sessions begins, as the kernel that was given it keeps it until they are taken. */
  readonly sessions?: bigint | undefined;
  /** Where the scratch areas stand: `struct kho_scratch`, as many as fit. */
  readonly scratchArray?: MemoryArea;
}

/** A place that was looked at, and why it told nothing. */
export interface SilentPlace {
  readonly place: string;
  readonly why: string;
}
