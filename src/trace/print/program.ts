import type { EventFormat } from '../model.js';
import type { PrintContext } from './context.js';
import { parseFormat } from './conversion.js';
import { Expressions } from './expressions.js';
import type { EventRecord } from './fields.js';
import { compilePieces, type Piece, type Pieces } from './pieces.js';
import { rawPrinter } from './raw.js';
import { RecordFields } from './record-fields.js';
import { parsePrintFormat } from './syntax.js';
import { TooLong, Unfollowable } from './unfollowable.js';

export type { PrintContext } from './context.js';

/** How the events of one kind are printed. */
export interface PrintProgram {
  readonly format: EventFormat;
  /** Why events of this kind are shown field by field: what of the print format cannot be followed. Undefined: it can. */
  readonly fallback: string | undefined;
  /** How many events were shown field by field, although their kind can be printed: their data did not allow it. */
  readonly failures: number;
  /** What the kernel prints behind `sched_switch: `. Never throws. */
  print(record: EventRecord): string;
}

/** Makes the program that prints events of a kind, from the kernel's own print format. Never throws. */
export function compilePrint(format: EventFormat, context: PrintContext): PrintProgram {
  const raw = rawPrinter(format, context.littleEndian, context.longSize);
  try {
    const fields = new RecordFields(format, context);
    const { text, args } = parsePrintFormat(format.printFormat);
    const scope = new Expressions(context, fields);
    const values = args.map((argument) => () => scope.value(argument));
    const pieces = compilePieces(parseFormat(text, context.longSize), evaluated(values), scope);
    return new Followed(format, raw, pieces, fields.needed, () => scope.begin());
  } catch (error) {
    if (!(error instanceof Unfollowable)) throw error;
    return { format, fallback: error.message, failures: 0, print: raw };
  }
}

function* evaluated<T>(values: readonly (() => T)[]): Generator<T> {
  for (const value of values) yield value();
}

/** The kernel keeps up to 8 KiB of text for an event (`TRACE_SEQ_SIZE`), and nothing of more. */
const LONGEST = 1 << 16;

class Followed implements PrintProgram {
  fallback: string | undefined;
  failures = 0;
  private readonly first: string;
  private readonly rest: readonly string[];

  constructor(
    readonly format: EventFormat,
    private readonly raw: (record: EventRecord) => string,
    private readonly pieces: Pieces,
    private readonly needed: number,
    private readonly begin: () => void,
  ) {
    this.first = pieces.texts[0] ?? '';
    this.rest = pieces.texts.slice(1);
  }

  print(record: EventRecord): string {
    if (this.fallback !== undefined) return this.raw(record);
    if (record.length < this.needed) return this.failed(record);
    const { conversions } = this.pieces;
    const { rest } = this;
    try {
      this.begin();
      let text = this.first;
      for (let at = 0; at < conversions.length; at++) text += (conversions[at] as Piece)(record) + rest[at];
      if (text.length <= LONGEST) return text;
      throw new TooLong('it makes a text that is longer than the kernel shows');
    } catch (error) {
      if (!(error instanceof Unfollowable)) throw error;
      // It would take as long for every event.
      if (error instanceof TooLong) this.fallback = error.message;
      return this.failed(record);
    }
  }

  private failed(record: EventRecord): string {
    this.failures++;
    return this.raw(record);
  }
}
