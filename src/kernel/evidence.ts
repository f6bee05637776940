import type { Evidence } from './kernel.js';

/** Collects what was tried. A question may have several answers that agree: they all count as accepted. */
export class EvidenceLog {
  private readonly entries: Evidence[] = [];

  accept(question: string, method: string, answer: string, detail?: string): void {
    this.add(question, method, answer, true, detail);
  }

  reject(question: string, method: string, answer: string | undefined, detail: string): void {
    this.add(question, method, answer, false, detail);
  }

  get all(): readonly Evidence[] {
    return this.entries;
  }

  private add(
    question: string,
    method: string,
    answer: string | undefined,
    accepted: boolean,
    detail: string | undefined,
  ): void {
    this.entries.push({ question, method, answer, accepted, ...(detail !== undefined && { detail }) });
  }
}

/** One way of answering a question about a number, and what it said. */
export interface Claim {
  readonly method: string;
  readonly value: bigint | undefined;
  /** Why there is no value, or how it was come by. */
  readonly detail?: string;
}

/**
 * Settles a number that several ways tell: the first one with a value wins, ways that agree stand beside it,
 * ways that do not are shown with the difference.
 */
export function settle(
  log: EvidenceLog,
  question: string,
  claims: readonly Claim[],
  show: (value: bigint) => string,
): bigint | undefined {
  const winner = claims.find((claim) => claim.value !== undefined)?.value;
  for (const { method, value, detail } of claims) {
    if (value === undefined) {
      if (detail !== undefined) log.reject(question, method, undefined, detail);
    } else if (value === winner) {
      log.accept(question, method, show(value), detail);
    } else {
      log.reject(question, method, show(value), detail ?? `disagrees with ${show(winner ?? 0n)}`);
    }
  }
  return winner;
}
