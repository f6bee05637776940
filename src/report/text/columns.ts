import { printable } from './page.js';

export type Alignment = 'left' | 'right';

/** Rows in columns as wide as their widest cell, the way crash prints tables: not wrapped, two spaces between. */
export function* columns(
  rows: readonly (readonly string[])[],
  alignments: readonly Alignment[] = [],
): Generator<string> {
  const cells = rows.map((row) => row.map(printable));
  const count = cells.reduce((most, row) => Math.max(most, row.length), 0);
  const widths = Array.from({ length: count }, (_, column) =>
    cells.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0),
  );
  for (const row of cells) {
    const padded = row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return alignments[column] === 'right' ? cell.padStart(width) : cell.padEnd(width);
    });
    yield padded.join('  ').trimEnd();
  }
}
