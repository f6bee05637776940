import type { EventFormat, Trace } from '../model.js';
import type { EventRecord } from './fields.js';
import { rawPrinter } from './raw.js';

/** What printing needs to know of the trace. A `Trace` is one. */
export interface PrintContext extends Pick<Trace, 'formats' | 'names' | 'littleEndian' | 'longSize'> {
  /** Are pointers printed as hashes, as the kernel does unless the trace option `hash-ptr` is off? Default: yes. */
  readonly hashPointers?: boolean;
}

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
  return { format, fallback: 'print formats are not followed yet', failures: 0, print: raw };
}
