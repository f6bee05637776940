import type { Trace, TraceEvent, TraceParameter } from '../model.js';
import type { FieldReader } from '../print/fields.js';

/** Registers that hold arguments (`FTRACE_REGS_MAX_ARGS`). */
const MOST_ARGUMENTS = 6;

/**
 * The text of a function's arguments, with the option `func-args`: `(path=0xffff…, flags=0)`, as `print_function_args` of
 * kernel/trace/trace_output.c has it. Nothing where the record has no arguments; all registers where the function's
 * parameters are not known.
 */
export function argumentText(
  args: FieldReader | undefined,
  func: FieldReader,
  { names, longSize, littleEndian }: Trace,
): (event: TraceEvent) => string {
  if (args === undefined) return () => '';
  const known = new Map<number | bigint, readonly TraceParameter[] | undefined>();
  return (event) => {
    const { view, start, length } = event;
    const at = args.field.offset;
    if (length - at < MOST_ARGUMENTS * longSize) return '';
    const registers = Array.from({ length: MOST_ARGUMENTS }, (_, index) => {
      const place = start + at + index * longSize;
      return longSize === 8 ? view.getBigUint64(place, littleEndian) : BigInt(view.getUint32(place, littleEndian));
    });
    const address = func.read(event) as number | bigint;
    if (!known.has(address)) {
      const name = names.symbol(BigInt.asUintN(64, BigInt(address)))?.symbol.name;
      known.set(address, name === undefined ? undefined : names.parameters?.(name));
    }
    const parameters = known.get(address);
    if (parameters === undefined) return `(${registers.map(hex).join(', ')})`;
    return `(${shown(parameters, registers, longSize)})`;
  };
}

function shown(parameters: readonly TraceParameter[], registers: readonly bigint[], longSize: number): string {
  const words: string[] = [];
  let next = 0;
  for (const { name, kind, word, size, names } of parameters) {
    const value = registers[next];
    if (value === undefined) {
      words.push('...');
      break;
    }
    next++;
    let text = hex(value);
    if (kind === 'signed') text = String(signed(value, longSize));
    else if (kind === 'unknown') text = `?${text}`;
    else if (kind === 'enum') text = `${signed(value, longSize)}${named(names.get(value))}`;
    else if (kind === 'other') {
      text = `(${word})[${text}`;
      for (let done = longSize; done < size; done += longSize) {
        const more = registers[next++];
        if (more === undefined) return [...words, `${name}=${text}:...]`].join(', ');
        text += `:${hex(more)}`;
      }
      text += ']';
    }
    words.push(`${name}=${text}`);
  }
  return words.join(', ');
}

function named(name: string | undefined): string {
  return name === undefined ? '' : ` [${name}]`;
}

function signed(value: bigint, longSize: number): bigint {
  return BigInt.asIntN(longSize * 8, value);
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
