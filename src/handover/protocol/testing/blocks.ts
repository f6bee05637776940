import type { Run } from './frames.js';

/** A block of 2^order frames. */
export interface Block {
  readonly pfn: number;
  readonly order: number;
}

/**
 * Blocks of which a run is made up, each as large as where it begins and what is left of the run allow:
 * `min(count_trailing_zeros(pfn), ilog2(end - pfn))`.
 */
export function* blocksIn({ pfn, count }: Run, fits = (_pfn: number, _order: number) => true): Generator<Block> {
  const end = pfn + count;
  for (let at = pfn; at < end; ) {
    let order = 0;
    while (at % 2 ** (order + 1) === 0 && at + 2 ** (order + 1) <= end) order++;
    while (!fits(at, order)) order--;
    yield { pfn: at, order };
    at += 2 ** order;
  }
}
