import type { VirtualAddress } from '../../bytes/address.js';
import type { SymbolHit } from '../symbols.js';
import type { StackRegion } from './regions.js';
import type { RegisterSet } from './registers.js';
import type { Replacer } from './replaced-returns.js';

export interface StackFrame {
  /**
   * `call`: a function that called the frame before. `interrupted`: kernel code that an interrupt, an exception or the
   * dump stopped. `user`: the program that entered the kernel; always last.
   */
  readonly kind: 'call' | 'interrupted' | 'user';
  /** Where it goes on: the return address, or the instruction that was interrupted. */
  readonly address: VirtualAddress;
  /** The function; of a return address, the one that the call instruction is in. Undefined in user mode. */
  readonly symbol: SymbolHit | undefined;
  /** Its stack pointer: what `rsp` is when it goes on. */
  readonly sp: VirtualAddress;
  /** Where on the stack its return address stands; undefined when it was not called. */
  readonly slot: VirtualAddress | undefined;
  /** The stack that it runs on. */
  readonly stack: StackRegion | undefined;
  /** `unwound` by the kernel's tables or saved registers; `guessed` from frame pointers or what lies on the stack. */
  readonly confidence: 'unwound' | 'guessed';
  /** All its registers, or those that the processor pushed; only of what was interrupted, and of user mode. */
  readonly registers: RegisterSet | undefined;
  /** Who had replaced its return address; `address` is the real one. */
  readonly replacedBy: Replacer | undefined;
}

/** A task's frames, innermost first. */
export interface Stack {
  readonly frames: readonly StackFrame[];
  /**
   * `user`: it came from user mode. `bottom`: a kernel thread's first frame. `lost`: it could not be followed to its end.
   * Without any frame, `bottom` is a task that has ended and given its stack back.
   */
  readonly end: 'user' | 'bottom' | 'lost';
  /** Why it could not be followed, or was guessed in part. */
  readonly problems: readonly string[];
}

/** A word on a stack that is an address in kernel code. */
export interface StackCandidate {
  /** Where it stands. */
  readonly slot: VirtualAddress;
  readonly address: VirtualAddress;
  readonly symbol: SymbolHit | undefined;
  /** A frame of the unwound stack has it; others are remains of earlier calls, or data. */
  readonly inFrame: boolean;
}
