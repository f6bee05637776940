import { ExhumeError } from '../bytes/errors.js';
import { PAGE_STATES, type PhysicalMemory, PRESENT } from '../dump/memory.js';
import { PageBitmap } from '../dump/page-bitmap.js';

const EXCLUDED = PAGE_STATES.indexOf('excluded');
const LOST = PAGE_STATES.indexOf('lost');

/** Pages that are looked at together: 1 GiB of memory. */
const SPAN = 2 ** 18;
/** A bitmap for so many pages is always granted: 1 TiB of memory. */
const GRANTED = 2 ** 28;
/** Beyond that memory may be so sparse: one page in the file for so many that the bitmap has room for. */
const SPARSEST = 1024;

/** What the input has, page by page; `written` is still to be thinned out. */
export interface InputPages {
  readonly described: PageBitmap;
  /** Pages that are in the input. */
  readonly written: PageBitmap;
  /** Pages that were filtered out when the input was written. */
  readonly excluded: number;
  /** Pages that the input should have and has not. */
  readonly lost: number;
  /** Pages from the end on that was given. */
  readonly beyond: number;
}

/**
 * Finds out which pages a dump has, by its own account. Throws EXH_BAD_HEADER where it describes no memory, and where its
 * addresses are so far apart that no machine has them.
 * @param end pages from this frame number on do not count
 */
export function inputPages(memory: PhysicalMemory, end = Number.POSITIVE_INFINITY): InputPages {
  const { pageSize } = memory;
  const ranges = memory.ranges();
  const whole = Math.ceil((ranges.at(-1)?.end ?? 0) / pageSize);
  const length = Math.min(whole, end);
  if (length === 0)
    throw new ExhumeError('EXH_BAD_HEADER', 'the dump describes no memory: there is nothing to convert');
  checkLength(memory, length);
  const described = PageBitmap.empty(length);
  const written = PageBitmap.empty(length);
  const states = new Uint8Array(SPAN);
  const counts = PAGE_STATES.map(() => 0);
  let next = 0;
  let beyond = 0;
  for (const range of ranges) {
    const { start } = range;
    const last = Math.ceil(range.end / pageSize);
    // Two ranges may share a page.
    for (let first = Math.max(next, Math.floor(start / pageSize)); first < last; first += SPAN) {
      const span = states.subarray(0, Math.min(SPAN, last - first));
      memory.states(first, span);
      eachRun(span, (state, from, to) => {
        if (state === 0) return;
        const outside = Math.max(0, first + to - Math.max(first + from, length));
        beyond += outside;
        described.addRange(first + from, first + to);
        if (state === PRESENT) written.addRange(first + from, first + to);
        counts[state] = (counts[state] ?? 0) + to - from - outside;
      });
    }
    next = Math.max(next, last);
  }
  return { described, written, excluded: counts[EXCLUDED] ?? 0, lost: counts[LOST] ?? 0, beyond };
}

/** A header may claim any address; what a bitmap takes is not to depend on that alone. */
function checkLength(memory: PhysicalMemory, length: number): void {
  const present = memory.presentBytes() / memory.pageSize;
  if (length <= GRANTED || length <= present * SPARSEST) return;
  throw new ExhumeError(
    'EXH_BAD_HEADER',
    `the dump describes memory up to page ${length}, and has ${Math.floor(present)} pages: no machine has its memory so far apart`,
    { found: length, hint: 'exhume info FILE shows the ranges of memory' },
  );
}

function eachRun(bytes: Uint8Array, callback: (value: number, from: number, to: number) => void): void {
  for (let from = 0; from < bytes.length; ) {
    const value = bytes[from] as number;
    let to = from + 1;
    while (to < bytes.length && bytes[to] === value) to++;
    callback(value, from, to);
    from = to;
  }
}
