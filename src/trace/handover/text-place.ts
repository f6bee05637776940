import type { KernelSymbol } from '../../kernel/symbols.js';
import type { TraceBuffer, TraceField, TraceFormats } from '../model.js';
import type { NamedKernel } from '../open.js';
import { RecordCursor } from '../ring/sub-buffer.js';

/** KASLR moves the kernel by multiples of this (`CONFIG_PHYSICAL_ALIGN` of x86). */
const STEP = 0x200000n;
/** Fields that hold where a function begins, of the kernel's own kinds of events. */
const FUNCTIONS = [
  ['function', 'ip'],
  ['funcgraph_entry', 'func'],
  ['funcgraph_exit', 'func'],
] as const;
/** A traced function's call stands at its start, or behind an instruction of 4 bytes (ENDBR). */
const CALL_OFFSETS = [0n, 4n];
/** As many functions tell. */
const MOST_FUNCTIONS = 2048;
const FEWEST_FUNCTIONS = 8;

/**
 * How far the kernel that wrote a trace was from where another source of names has it: that distance by which most of the functions
 * in the trace are functions there. Undefined: too few functions were traced, or no distance stands out.
 */
export function textDistance(
  buffers: readonly TraceBuffer[],
  formats: TraceFormats,
  symbols: Iterable<KernelSymbol>,
): bigint | undefined {
  const functions = tracedFunctions(buffers, formats);
  if (functions.size < FEWEST_FUNCTIONS) return undefined;
  // By what KASLR leaves as it is.
  const wanted = new Map<bigint, bigint[]>();
  for (const address of functions) {
    for (const offset of CALL_OFFSETS) {
      const start = address - offset;
      const same = wanted.get(start % STEP);
      if (same === undefined) wanted.set(start % STEP, [start]);
      else same.push(start);
    }
  }
  const votes = new Map<bigint, Set<bigint>>();
  for (const { address, module } of symbols) {
    if (module !== undefined) continue;
    for (const start of wanted.get(address % STEP) ?? []) {
      const distance = address - start;
      const voters = votes.get(distance);
      if (voters === undefined) votes.set(distance, new Set([start]));
      else voters.add(start);
    }
  }
  const [best, second] = [...votes].sort(([, one], [, other]) => other.size - one.size);
  if (best === undefined || best[1].size * 2 < functions.size) return undefined;
  return second !== undefined && second[1].size * 2 > best[1].size ? undefined : best[0];
}

/** Addresses of the kernel itself, `distance` further; all others (of modules) lead nowhere. Undefined: it isn't told where it ends. */
export function movedText(distance: bigint, from: NamedKernel): ((address: bigint) => bigint) | undefined {
  const start = from.symbolAddress?.('_text');
  const end = from.symbolAddress?.('_end') ?? from.symbolAddress?.('_etext');
  if (start === undefined || end === undefined) return undefined;
  return (address) => {
    const there = BigInt.asUintN(64, address + distance);
    return there >= start && there < end ? there : 0n;
  };
}

/** Where functions that were traced begin, up to `MOST_FUNCTIONS` of them. */
function tracedFunctions(buffers: readonly TraceBuffer[], formats: TraceFormats): ReadonlySet<bigint> {
  const fields = new Map<number, TraceField>();
  for (const [name, member] of FUNCTIONS) {
    const format = formats.find('ftrace', name);
    const field = format?.fields.find((one) => one.name === member && one.size === 8);
    if (format !== undefined && field !== undefined) fields.set(format.id, field);
  }
  const found = new Set<bigint>();
  const cursor = new RecordCursor(0n);
  for (const { cpus } of buffers) {
    for (const cpu of cpus) {
      for (const sub of cpu.subBuffers()) {
        cursor.open(sub);
        while (cursor.next()) {
          const { view, start, length } = cursor;
          const field = length >= 2 ? fields.get(view.getUint16(start, true)) : undefined;
          if (field === undefined || field.offset + 8 > length) continue;
          found.add(view.getBigUint64(start + field.offset, true));
          if (found.size >= MOST_FUNCTIONS) return found;
        }
      }
    }
  }
  return found;
}
