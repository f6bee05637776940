/** The console's words when a guest is where its scene wants it. */

export const READY = '@@ ready';
export const PANICKED = /---\[ end Kernel panic .*\]---\r?\n/;
export const CAPTURED = '@@ captured';
/** The whole report of a soft lockup. */
export const LOCKED_UP = /BUG: soft lockup[\s\S]*?<\/TASK>.*\r?\n/;
