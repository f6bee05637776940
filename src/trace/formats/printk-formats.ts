import { listEntries } from '../../kernel/types/lists.js';
import type { KernelImage } from './kernel-image.js';
import type { SharedStrings } from './shared-strings.js';

/** More formats than any kernel and its modules have. */
const MOST_FORMATS = 1 << 20;

/**
 * The formats of `trace_printk()` and strings of tracepoints, by address, in the order of tracefs's `printk_formats`
 * (kernel/trace/trace_printk.c): the kernel's, then those that it copied out of modules.
 */
export function printkFormats(
  { memory, types, symbols }: Pick<KernelImage, 'memory' | 'types' | 'symbols'>,
  strings: SharedStrings,
): Map<bigint, string> {
  const formats = new Map<bigint, string>();
  const add = (address: bigint): void => {
    if (address !== 0n && formats.size < MOST_FORMATS) formats.set(address, strings.at(address));
  };
  for (const section of ['__trace_bprintk_fmt', '__tracepoint_str']) {
    const start = symbols.address(`__start_${section}`);
    const stop = symbols.address(`__stop_${section}`);
    if (start === undefined || stop === undefined) continue;
    const end = BigInt(MOST_FORMATS * 8) + start < stop ? BigInt(MOST_FORMATS * 8) + start : stop;
    for (let at: bigint = start; at + 8n <= end; at += 8n) add(memory.pointer(at));
  }
  const head = symbols.address('trace_bprintk_fmt_list');
  const type = types.struct('trace_bprintk_fmt');
  if (head !== undefined && type !== undefined) {
    for (const format of listEntries(memory, head, type, 'list')) add(format.pointer('fmt'));
  }
  return formats;
}
