import { ExhumeError } from '../../bytes/errors.js';

/** No tree of a kernel has more nodes; what seems to have more is not one. */
export const MOST_NODES = 1 << 22;

/**
 * What went wrong on a walk that goes on beside the damage. The first error is kept and thrown when the walk has
 * yielded all that could be read.
 */
export class WalkDamage {
  private first: unknown;
  private nodes = 0;

  constructor(private readonly what: string) {}

  /** Counts a node. Throws EXH_BAD_STRUCTURE at once when there are more than any kernel has. */
  count(address: bigint): void {
    if (++this.nodes > MOST_NODES) throw this.bad('has more nodes than any kernel has', address);
  }

  /** Runs a step; where it throws an error of ours the step is left out and the error kept. */
  attempt<T>(step: () => T): T | undefined {
    try {
      return step();
    } catch (error) {
      this.keep(error);
      return undefined;
    }
  }

  keep(error: unknown): void {
    if (!(error instanceof ExhumeError)) throw error;
    this.first ??= error;
  }

  /** An EXH_BAD_STRUCTURE that says what is wrong with which node. */
  bad(reason: string, address: bigint): ExhumeError {
    return new ExhumeError('EXH_BAD_STRUCTURE', `${this.what} ${reason}`, { address });
  }

  /** Throws the first error, if there was one. */
  finish(): void {
    if (this.first !== undefined) throw this.first;
  }
}
