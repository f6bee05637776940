import { ExhumeError } from '../bytes/errors.js';
import type { RawRange } from '../dump/raw.js';

/**
 * A map of the ranges in a plain memory image: one `START-END` a line, in hexadecimal, END the last byte,
 * as /proc/iomem prints them; lines of it that are not `System RAM` are passed over. The ranges follow one another
 * in the file, except where `@ OFFSET` says where one begins. `#` starts a comment.
 * Throws EXH_USAGE with the line's number for anything else.
 */
export function parseRanges(text: string, name: string): RawRange[] {
  const ranges: RawRange[] = [];
  let next = 0;
  for (const [i, line] of text.split('\n').entries()) {
    const content = line.replace(/#.*/, '').trimEnd();
    if (content.trim() === '' || isOtherResource(content)) continue;
    const [, start, end, offset] = RANGE.exec(content) ?? [];
    const physical = Number.parseInt(start ?? '', 16);
    const last = Number.parseInt(end ?? '', 16);
    if (!(last >= physical)) {
      throw new ExhumeError(
        'EXH_USAGE',
        `${name}, line ${i + 1}: "${content.trim()}" is not START-END in hexadecimal`,
        {
          file: name,
          found: content.trim(),
          hint: 'for example 00100000-1ffdffff, or the lines of /proc/iomem',
        },
      );
    }
    const fileOffset = offset === undefined ? next : Number.parseInt(offset, 16);
    const size = last - physical + 1;
    ranges.push({ physical, fileOffset, size });
    next = fileOffset + size;
  }
  return ranges;
}

const RANGE = /^(?:0x)?([0-9a-f]+)\s*-\s*(?:0x)?([0-9a-f]+)(?:\s*@\s*(?:0x)?([0-9a-f]+))?(?:\s*:\s*System RAM)?$/i;

/** A line of /proc/iomem about something else, or one that is part of a range above it. */
function isOtherResource(line: string): boolean {
  return / : /.test(line) && (/^\s/.test(line) || !/ : System RAM$/.test(line));
}
