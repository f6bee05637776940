import colors from 'picocolors';

/** How text is to look. */
export interface TextOptions {
  readonly color: boolean;
  /** Columns; text is wrapped to it, tables and log lines are not cut. */
  readonly width: number;
}

/** For output that is not a terminal. */
export const PLAIN: TextOptions = { color: false, width: 100 };

const INDENT = '  ';

/**
 * Text from a dump, made safe for a terminal: control characters and escape sequences are shown as `\x1b`,
 * so that a hostile log cannot move the cursor or retitle the window. Newlines and tabs are left alone.
 */
export function printable(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is about
    /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]/g,
    (control) => {
      const code = control.charCodeAt(0);
      return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
    },
  );
}

/** The few ways in which exhume's text is laid out: headings, pairs, rows, wrapped prose. Every method yields whole lines. */
export class Page {
  readonly width: number;
  readonly paint: ReturnType<typeof colors.createColors>;

  constructor(options: TextOptions) {
    this.width = Math.max(40, options.width);
    this.paint = colors.createColors(options.color);
  }

  *heading(text: string, aside?: string): Generator<string> {
    yield '';
    yield this.paint.bold(text) + (aside === undefined ? '' : this.paint.dim(`  ${aside}`));
  }

  /** `label  value`, values in one column and wrapped under themselves. */
  *pairs(rows: readonly (readonly [label: string, value: string])[], labelWidth = 12): Generator<string> {
    for (const [label, value] of rows) {
      const lines = wrap(printable(value), this.width - INDENT.length - labelWidth - 1);
      for (const [i, line] of lines.entries()) {
        const head = i === 0 ? this.paint.dim(label.padEnd(labelWidth)) : ' '.repeat(labelWidth);
        yield `${INDENT}${head} ${line}`.trimEnd();
      }
    }
  }

  /** Prose under a heading. */
  *prose(text: string): Generator<string> {
    for (const line of wrap(printable(text), this.width - INDENT.length)) yield INDENT + line;
  }

  /**
   * A table with columns as wide as their widest cell; the last column is wrapped under itself.
   * A painter may colour a row's cells after they are padded.
   */
  *table(rows: readonly Row[], gap = 2): Generator<string> {
    const columns = Math.max(0, ...rows.map((row) => row.cells.length));
    const cells = rows.map((row) => row.cells.map(printable));
    const widths = Array.from({ length: columns }, (_, i) =>
      i === columns - 1 ? 0 : Math.max(0, ...cells.map((row) => (i < row.length ? (row[i]?.length ?? 0) : 0))),
    );
    const before = widths.reduce((sum, width) => sum + width + gap, 0) - gap;
    for (const [r, row] of rows.entries()) {
      const own = cells[r] ?? [];
      const paint = row.paint ?? ((text: string) => text);
      const last = own[columns - 1];
      const lines = last === undefined ? [''] : wrap(last, Math.max(20, this.width - INDENT.length - before));
      const head = widths.slice(0, -1).map((width, i) => paint((own[i] ?? '').padEnd(width), i) + ' '.repeat(gap));
      yield (INDENT + head.join('') + paint(lines[0] ?? '', columns - 1)).trimEnd();
      for (const line of lines.slice(1)) yield INDENT + ' '.repeat(before) + paint(line, columns - 1);
    }
  }
}

export interface Row {
  readonly cells: readonly string[];
  readonly paint?: ((text: string, column: number) => string) | undefined;
}

/** Breaks text at spaces; a word longer than the width is left whole, so that it can be copied. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else {
        line = line === '' ? word : `${line} ${word}`;
      }
    }
    lines.push(line);
  }
  return lines;
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `16.8 MiB`. */
export function humanBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || Number.isInteger(value) ? 0 : value < 100 ? 1 : 0;
  return `${value.toFixed(digits)} ${bytes === 1 ? 'byte' : UNITS[unit]}`;
}

/** `2 h 03 min`, `12.4 s`. */
export function humanDuration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  const [days, hours, minutes] = [
    Math.floor(whole / 86400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  const two = (value: number) => String(value).padStart(2, '0');
  if (days > 0) return `${days} d ${two(hours)} h ${two(minutes)} min`;
  if (hours > 0) return `${hours} h ${two(minutes)} min`;
  return `${minutes} min ${two(whole % 60)} s`;
}

/** `1 CPU`, `2 CPUs`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Sixteen digits without prefix out of "0x…", as the kernel and crash print addresses. */
export function digits16(hex: string): string {
  return hex.replace(/^0x/, '').padStart(16, '0');
}
