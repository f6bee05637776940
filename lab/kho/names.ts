/** What the scene's directory holds. */

export const HANDOVER_SCENE = 'kho-7.2';

/** Dumps: the old kernel as it jumps, the next one when it has booted, and when its files were taken. */
export const OLD = 'old.elf';
export const NEXT = 'next.elf';
export const TAKEN = 'taken.elf';

/** What the guest wrote down at those moments. */
export const OLD_TRUTH = 'old';
export const NEXT_TRUTH = 'next';
export const TAKEN_TRUTH = 'taken';

/** The trace that crosses, and the memory that it has. */
export const INSTANCE = 'boot_map';
export const RESERVED = 'trace';
export const RESERVED_BYTES = 1 << 20;

/** What exhume said inside the next kernel: `said/NAME`, `said/NAME.err`, `said/NAME.status`. */
export const SAID = 'said';
