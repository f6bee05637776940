import { isAbsence } from '../absence.js';
import type { Absence } from '../schema/common.js';
import type { FrameReport, StackReport } from '../schema/diagnosis.js';
import { type Page, printable, wrap } from './page.js';

/** Of a longer list of lines so many of the beginning and the end are shown. */
const HEAD = 60;
const TAIL = 30;

/** Lines with the middle of a long list left out, and counted. */
export function* shortened(lines: readonly string[], omitted: (count: number) => string): Generator<string> {
  const left = lines.length - HEAD - TAIL;
  // A note about two lines is not shorter than they are.
  if (left <= 2) {
    yield* lines;
    return;
  }
  yield* lines.slice(0, HEAD);
  yield omitted(left);
  yield* lines.slice(-TAIL);
}

/** A stack with a line for each frame. */
export function* stackLines(page: Page, stack: StackReport | Absence): Generator<string> {
  if (isAbsence(stack)) {
    yield* page.prose(stack.absent);
    return;
  }
  const lines = stack.frames.map((frame) => frameLine(page, frame));
  yield* shortened(lines, (count) => page.paint.dim(`     … ${count} more frames; all: exhume bt`));
  for (const problem of stack.problems) yield* page.prose(problem);
}

function frameLine(page: Page, frame: FrameReport): string {
  const mark = frame.unwound ? ' ' : '?';
  const aside = [
    frame.stack ?? '',
    frame.kind === 'interrupted' ? 'interrupted here' : '',
    frame.unwound ? '' : 'guessed',
  ];
  const words = aside.filter((part) => part !== '').join(', ');
  const line = `  ${mark} ${printable(frameName(frame))}${words === '' ? '' : page.paint.dim(`  ${words}`)}`;
  return frame.unwound ? line : page.paint.dim(line);
}

/** `vfs_write+0xe6/0x560`; where there is no symbol, the address. */
export function frameName({ kind, symbol, address }: FrameReport): string {
  return kind === 'user' ? `user mode at ${address}` : (symbol ?? address);
}

/** A stack as one run of names, for stacks that are there to be glanced at: `default_idle < do_idle < cpu_startup_entry`. */
export function* stackBrief(page: Page, stack: StackReport | Absence, indent: string): Generator<string> {
  const text = isAbsence(stack) ? stack.absent : chain(stack);
  for (const line of wrap(printable(text), page.width - indent.length)) yield indent + page.paint.dim(line);
}

/** More functions than this say no more at a glance. */
const MOST_IN_CHAIN = 12;

function chain({ frames, end }: StackReport): string {
  const names = frames.map((frame) =>
    frame.kind === 'user' ? 'user mode' : (frame.symbol ?? frame.address).replace(/\+0x[0-9a-f]+\/0x[0-9a-f]+/, ''),
  );
  const shown =
    names.length > MOST_IN_CHAIN ? [...names.slice(0, MOST_IN_CHAIN), `… ${names.length - MOST_IN_CHAIN} more`] : names;
  const lost = end === 'lost' ? ['(lost)'] : [];
  return [...shown, ...lost].join(' < ') || 'no frames';
}
