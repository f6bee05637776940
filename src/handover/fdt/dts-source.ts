import { type ErrorCode, ExhumeError } from '../../bytes/errors.js';

/** A place in a source text: both count from 1. */
export interface DtsPlace {
  readonly file: string;
  readonly line: number;
  /** In UTF-16 units, as editors count. */
  readonly column: number;
}

/** A source text, and which line of which file each of its lines was before the C preprocessor. */
export class DtsSource {
  private readonly markers: { readonly at: number; readonly line: number; readonly file: string }[] = [];

  constructor(
    readonly text: string,
    private readonly file: string,
  ) {}

  /** A line marker that ends at an offset: the line after it has this number. They are told in their order. */
  mark(at: number, line: number, file: string): void {
    this.markers.push({ at, line, file });
  }

  place(offset: number): DtsPlace {
    const marker = this.markers.findLast(({ at }) => at <= offset);
    const counted = marker?.at ?? 0;
    let line = marker === undefined ? 1 : marker.line - 1;
    let start = 0;
    for (let at = this.text.indexOf('\n'); at >= 0 && at < offset; at = this.text.indexOf('\n', at + 1)) {
      start = at + 1;
      if (at >= counted) line++;
    }
    return { file: marker?.file ?? this.file, line, column: offset - start + 1 };
  }

  /** An error that says where: `tree.dts:3:17: what`. */
  bad(offset: number, what: string, code: ErrorCode = 'EXH_USAGE', hint?: string): ExhumeError {
    const place = this.place(offset);
    const data = { ...place, offset, ...(hint === undefined ? {} : { hint }) };
    return new ExhumeError(code, `${place.file}:${place.line}:${place.column}: ${what}`, data);
  }
}
