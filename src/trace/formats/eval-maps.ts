import { virtualAddress } from '../../bytes/address.js';
import { Struct } from '../../kernel/types/struct.js';
import type { KernelImage } from './kernel-image.js';
import type { SharedStrings } from './shared-strings.js';

/** More than any kernel has. */
const MOST_MAPS = 1 << 17;

/** What a system's print formats call constants (`TRACE_DEFINE_ENUM`, `TRACE_DEFINE_SIZEOF`), and their values. */
export type EvalMap = ReadonlyMap<string, bigint>;

/**
 * The maps of a kernel's image (`struct trace_eval_map`s between `__start_ftrace_eval_maps` and its end), by the address of
 * the system's name: as the kernel does, which compares addresses. It replaces the names when it boots.
 */
export function readEvalMaps(
  { memory, symbols, types }: Pick<KernelImage, 'memory' | 'symbols' | 'types'>,
  strings: SharedStrings,
): Map<bigint, EvalMap> {
  const maps = new Map<bigint, Map<string, bigint>>();
  const start = symbols.address('__start_ftrace_eval_maps');
  const stop = symbols.address('__stop_ftrace_eval_maps');
  const type = types.struct('trace_eval_map');
  if (start === undefined || stop === undefined || type === undefined) return maps;
  for (let at: bigint = start, left = MOST_MAPS; at + 8n <= stop && left > 0; at += 8n, left--) {
    const map = new Struct(memory, type, virtualAddress(memory.pointer(at)));
    const system = map.pointer('system');
    const values = maps.get(system) ?? new Map<string, bigint>();
    const name = strings.at(map.pointer('eval_string'));
    if (!values.has(name)) values.set(name, BigInt.asIntN(64, map.big('eval_value')));
    maps.set(system, values);
  }
  return maps;
}

const DIGIT = /[0-9]/;
const LETTER = /[A-Za-z_]/;
const WORD = /[A-Za-z0-9_]/;

/**
 * A print format with the names of constants replaced, as update_event_printk() of kernel/trace/trace_events.c does it:
 * not inside strings, not in numbers, not in members of a structure, and not where the number is longer than the name.
 */
export function replaceConstants(text: string, map: EvalMap): string {
  const sizes = [...map.keys()].filter((name) => !/^\w+$/.test(name));
  let made = '';
  let kept = 0;
  let quoted = false;
  const after = (from: number, pattern: RegExp): number => {
    let end = from;
    while (end < text.length && pattern.test(text[end] as string)) end++;
    return end;
  };
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] as string;
    if (letter === '\\') at++;
    else if (letter === '"') quoted = !quoted;
    else if (quoted) continue;
    // After a word or a number comes some delimiter, which is passed over too.
    else if (DIGIT.test(letter)) at = after(at, WORD);
    else if (LETTER.test(letter)) {
      const end = after(at, WORD);
      const word = text.slice(at, end);
      const name = map.has(word) ? word : sizes.find((size) => text.startsWith(size, at));
      const value = name === undefined ? undefined : `${map.get(name)}`;
      if (name !== undefined && value !== undefined && value.length <= name.length) {
        made += text.slice(kept, at) + value;
        at += name.length;
        kept = at;
        continue;
      }
      at = end;
      for (;;) {
        const arrow = text[at] === '.' ? 1 : text.startsWith('->', at) ? 2 : 0;
        if (arrow === 0) break;
        at = after(at + arrow + 1, WORD);
      }
    }
  }
  return made + text.slice(kept);
}
