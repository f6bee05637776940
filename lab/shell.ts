/** Running other programs, and telling what the lab is doing. */

import { spawnSync } from 'node:child_process';

/** Something the lab could not do; the message says what and holds the end of the program's own words. */
export class LabError extends Error {
  override readonly name = 'LabError';
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Exit statuses that are an answer and not a failure. */
  readonly accept?: readonly number[];
  readonly input?: string;
  readonly timeoutSeconds?: number;
  /** What to call the program in an error, when its command line says little. */
  readonly label?: string;
}

export interface Finished {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end and returns what it wrote. Throws unless its status is acceptable. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Finished {
  const child = spawnSync(command, [...args], {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    encoding: 'utf8',
    input: options.input ?? '',
    maxBuffer: 1 << 30,
    ...(options.timeoutSeconds === undefined ? {} : { timeout: options.timeoutSeconds * 1000 }),
  });
  if (child.error !== undefined) throw new LabError(`${command}: ${child.error.message}`);
  const finished = { status: child.status ?? 128, stdout: child.stdout, stderr: child.stderr };
  if (!(options.accept ?? [0]).includes(finished.status)) {
    const tail = `${finished.stdout}\n${finished.stderr}`.trim().split('\n').slice(-12).join('\n  ');
    throw new LabError(
      `${options.label ?? [command, ...args].join(' ')} ended with status ${finished.status}:\n  ${tail}`,
    );
  }
  return finished;
}

const start = Date.now();

/** One line about what is going on, with the seconds since the lab was started. */
export function say(message: string): void {
  const seconds = ((Date.now() - start) / 1000).toFixed(1).padStart(7);
  console.log(`${seconds}  ${message}`);
}
