import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import type { StackFrame } from './frame.js';

/** A word of a stack. */
export interface StackWord {
  readonly slot: VirtualAddress;
  /** Undefined where the dump does not hold it. */
  readonly value: bigint | undefined;
}

/** The words from `from` to `to`, upward. */
export function stackWords(view: KernelView, from: bigint, to: bigint): StackWord[] {
  const words: StackWord[] = [];
  for (let slot = from & ~7n; slot + 8n <= to; slot += 8n) {
    words.push({ slot: virtualAddress(slot), value: wordAt(view, slot) });
  }
  return words;
}

/**
 * What a frame has on its stack: from its stack pointer to that of the frame that called it, with the return address; to
 * the stack's end where that one is on another stack.
 */
export function frameWords(view: KernelView, frame: StackFrame, caller: StackFrame | undefined): StackWord[] {
  const { sp, stack } = frame;
  if (stack === undefined || sp < stack.start || sp >= stack.end) return [];
  const within = caller?.stack === stack && caller.sp > sp && caller.sp <= stack.end;
  return stackWords(view, sp, within ? caller.sp : stack.end);
}

/** A word of memory; undefined where it is not to be had. */
export function wordAt(view: KernelView, address: bigint): bigint | undefined {
  try {
    return view.memory.u64(address);
  } catch (error) {
    if (isExhumeError(error)) return undefined;
    throw error;
  }
}
