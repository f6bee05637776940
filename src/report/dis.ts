import { hex, hexBytes, type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { type Damage, damageOf as damageFrom, ExhumeError } from '../bytes/errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { parseAddress } from './address.js';
import type { DisReport } from './schema/dis.js';
import { requireKernel, type Subject } from './subject.js';
import { damageOf } from './words.js';

/** An instruction as a disassembler tells it. */
export interface DecodedInstruction {
  readonly length: number;
  readonly text: string;
  /** Where it branches to, or what it addresses relative to itself. */
  readonly target: bigint | undefined;
  readonly valid: boolean;
}

/** Decodes the machine code of the dump's architecture, one instruction after another. */
export type Disassemble = (code: Uint8Array, address: bigint) => Iterable<DecodedInstruction>;

export interface DisOptions {
  /** How many instructions; by default the whole function, or one when the address lies within one. */
  readonly count?: number | undefined;
  /** From the function's start up to the address. */
  readonly reverse?: boolean | undefined;
  /** From the address to the function's end. */
  readonly forward?: boolean | undefined;
  /** Base of the offsets in symbols. */
  readonly radix?: 10 | 16 | undefined;
}

const LONGEST_INSTRUCTION = 15;
const MOST_BYTES = 1 << 20;
const MOST_INSTRUCTIONS = 1 << 16;
const PAGE = 4096n;

/**
 * The instructions at an address. Code that the dump does not hold ends the answer, and is told.
 * Throws EXH_NO_SYMBOL, EXH_USAGE, and EXH_NOT_MAPPED or the page errors when not even the first byte is there.
 */
export function buildDis(
  subject: Subject,
  query: string,
  disassemble: Disassemble,
  options: DisOptions = {},
): DisReport {
  const kernel = requireKernel(subject);
  const address = parseAddress(query, kernel.symbols);
  const { start, end, count, last } = spanOf(kernel, address, options);
  const { bytes, damage } = readCode(kernel, start, Math.min(end, MOST_BYTES));
  const instructions: DisReport['instructions'] = [];
  let at: bigint = start;
  for (const { length, text, target, valid } of disassemble(bytes, start)) {
    if (instructions.length >= count || (last !== undefined && at > last)) break;
    const offset = Number(at - start);
    instructions.push({
      address: hex(at),
      symbol: nameAt(kernel, at, options.radix),
      bytes: hexBytes(bytes.subarray(offset, offset + length)),
      length,
      text,
      target: target === undefined ? null : hex(target),
      targetSymbol: target === undefined ? null : nameAt(kernel, target, options.radix),
      valid,
    });
    at += BigInt(length);
  }
  const told = instructions.length >= count || (last !== undefined && at > last) ? [] : damage;
  const all = damageOf(subject, told);
  return { schema: 'exhume-dis/1', complete: all.length === 0, query, instructions, damage: all };
}

interface Span {
  readonly start: VirtualAddress;
  /** Bytes to decode at the most. */
  readonly end: number;
  readonly count: number;
  /** The last instruction's address. */
  readonly last: bigint | undefined;
}

function spanOf(kernel: Kernel, address: VirtualAddress, { count, reverse, forward }: DisOptions): Span {
  if (count !== undefined && (count < 1 || count > MOST_INSTRUCTIONS)) {
    throw new ExhumeError('EXH_USAGE', `a count of ${count} is out of bounds: 1 to ${MOST_INSTRUCTIONS}`, {
      found: count,
    });
  }
  const hit = kernel.symbols.at(address);
  if (reverse) {
    if (hit === undefined) throw new ExhumeError('EXH_NO_SYMBOL', `${hex(address)} lies in no function`, { address });
    const start = virtualAddress(address - BigInt(hit.offset));
    return { start, end: hit.offset + LONGEST_INSTRUCTION, count: Number.MAX_SAFE_INTEGER, last: address };
  }
  const whole = hit !== undefined && (hit.offset === 0 || forward) && count === undefined;
  if (whole) return { start: address, end: hit.size - hit.offset, count: Number.MAX_SAFE_INTEGER, last: undefined };
  return { start: address, end: (count ?? 1) * LONGEST_INSTRUCTION, count: count ?? 1, last: undefined };
}

/** As much code as the dump holds from there on; throws when it holds none. */
function readCode(kernel: Kernel, start: bigint, length: number): { bytes: Uint8Array; damage: Damage[] } {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const at = start + BigInt(done);
    const size = Math.min(Number(PAGE - (at % PAGE)), length - done);
    try {
      kernel.memory.read(at, bytes.subarray(done, done + size));
    } catch (error) {
      if (done === 0) throw error;
      return { bytes: bytes.subarray(0, done), damage: [damageFrom('code', error)] };
    }
    done += size;
  }
  return { bytes, damage: [] };
}

/** `schedule+5`, as gdb names addresses. */
function nameAt(kernel: Kernel, address: bigint, radix: 10 | 16 = 10): string | null {
  const hit = kernel.symbols.at(address);
  if (hit === undefined) return null;
  if (hit.offset === 0) return hit.symbol.name;
  return `${hit.symbol.name}+${radix === 16 ? hex(hit.offset) : hit.offset}`;
}
