import type { KernelView } from '../kernel-view.js';
import type { OrcTables } from './orc-tables.js';
import type { StackRegion } from './regions.js';
import type { RegisterSet } from './registers.js';
import type { ReplacedReturns } from './replaced-returns.js';
import type { KernelText } from './text.js';

/** Where a frame goes on. */
export interface Position {
  readonly ip: bigint;
  readonly sp: bigint;
  /** Undefined when nothing tells it. */
  readonly bp: bigint | undefined;
  /** It was interrupted: `ip` is an instruction that has not run yet, not one after a call. */
  readonly signal: boolean;
  /** Registers that are known here. */
  readonly registers: RegisterSet | undefined;
  /** Where `ip` stands on the stack. */
  readonly slot: bigint | undefined;
  /** It was not told by tables or saved registers. */
  readonly guessed: boolean;
  /** What is unwound from here on is no surer than a guess. */
  readonly doubtful: boolean;
}

/** What a walk needs to know. */
export interface UnwindContext {
  readonly view: KernelView;
  readonly orc: OrcTables;
  readonly text: KernelText;
  readonly returns: ReplacedReturns;
  readonly regions: readonly StackRegion[];
}
