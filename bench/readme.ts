/** Tables of what was measured, and their places in bench/README.md. */

import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';

// From dist/bench.
const README = fileURLToPath(new URL('../../bench/README.md', import.meta.url));

/** A row of a table. */
export function row(...cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** The first rows of a table: what its columns are. */
export function columns(...names: readonly string[]): string[] {
  return [row(...names), row(...names.map(() => '---'))];
}

/** What a measurement was made on, to be asked before it: how busy the machine was then matters. */
export function circumstances(rounds: number, more = ''): string {
  const busy = (loadavg()[0] ?? 0).toFixed(1);
  const machine = `${cpus().length} CPUs (${cpus()[0]?.model.trim()})`;
  return `Node ${process.version}, ${machine}, medians of ${rounds} runs in turn${more}; at the start ${busy} programs wanted to run.`;
}

/** Prints what was measured; with `--write` it takes the place of what stands between the marks of that name. */
export function publish(name: string, lines: readonly string[]): void {
  const text = lines.join('\n');
  console.log(text);
  if (!process.argv.includes('--write')) return;
  const marks = new RegExp(`(<!-- ${name} -->)[^]*?(<!-- end of ${name} -->)`);
  writeFileSync(
    README,
    readFileSync(README, 'utf8').replace(marks, (_, begin, end) => `${begin}\n\n${text}\n\n${end}`),
  );
}
