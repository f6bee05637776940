import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const LONGEST = 1000;

/** Where the shell keeps what was typed: `$XDG_STATE_HOME/exhume/history`, or below `~/.local/state`; undefined without a home. */
export function historyPath(environment: Readonly<Record<string, string | undefined>>): string | undefined {
  const { XDG_STATE_HOME: state, HOME: home } = environment;
  if (state?.startsWith('/') === true) return join(state, 'exhume', 'history');
  return home === undefined || home === '' ? undefined : join(home, '.local', 'state', 'exhume', 'history');
}

/** The lines, newest first as readline wants them; none when there is no such file or it cannot be read. */
export function readHistory(path: string | undefined): string[] {
  if (path === undefined) return [];
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .reverse()
      .slice(0, LONGEST);
  } catch {
    return [];
  }
}

/** Keeps the lines, newest first as readline has them. A shell works without its history: errors are left alone. */
export function writeHistory(path: string | undefined, lines: readonly string[]): void {
  if (path === undefined) return;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const text = lines.slice(0, LONGEST).toReversed().join('\n');
    writeFileSync(path, `${text}\n`, { mode: 0o600 });
  } catch {
    // Read-only homes are ordinary.
  }
}
