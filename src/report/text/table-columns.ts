import { printable } from './page.js';

/** Cells under each other as crash sets them: two spaces between, columns named in the first row to the right. */
export function* columns(rows: readonly (readonly string[])[], left: readonly number[] = []): Generator<string> {
  const safe = rows.map((row) => row.map(printable));
  const widths: number[] = [];
  for (const row of safe) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  }
  for (const row of safe) {
    const cells = row.map((cell, index) =>
      left.includes(index) ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0),
    );
    yield `  ${cells.join('  ')}`.trimEnd();
  }
}

/** `schedule` out of `schedule+0x0/0x90`, with the offset where there is one: `early_idt_handler_array+162`, as crash has it. */
export function symbolName(symbol: string | null): string {
  const [, name, offset] = /^(.*)\+0x([0-9a-f]+)\/0x[0-9a-f]+(?: \[.*\])?$/.exec(symbol ?? '') ?? [];
  if (name === undefined || offset === undefined) return symbol ?? '?';
  const bytes = Number.parseInt(offset, 16);
  return bytes === 0 ? name : `${name}+${bytes}`;
}
