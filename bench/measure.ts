/** Running programs for their time and memory. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from '../lab/chroot.js';

export interface Cost {
  readonly seconds: number;
  /** The largest resident set, in bytes. */
  readonly memory: number;
  /** Processor time of all its threads, in seconds: holds on a busy machine, too. */
  readonly processor: number;
}

export interface Contender {
  readonly name: string;
  readonly command: Command;
  /** What it reads from standard input. */
  readonly input?: string;
  /** A text that only an answer has; without it the run counts as failed. */
  readonly answer: string;
}

const TIMEOUT_MILLISECONDS = 300_000;

/** One run. Undefined when it failed, or gave no answer. */
function runOnce({ command, input = '', answer }: Contender): Cost | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'exhume-bench-'));
  try {
    const told = join(directory, 'time');
    const args = ['-f', '%M %U %S', '-o', told, command.command, ...command.args];
    const start = process.hrtime.bigint();
    const { stdout, error } = spawnSync('/usr/bin/time', args, {
      input,
      maxBuffer: 1 << 30,
      timeout: TIMEOUT_MILLISECONDS,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    if (error !== undefined || !stdout.includes(answer)) return undefined;
    // A line about the exit status may come first.
    const [kibibytes = 0, user = 0, system = 0] = (readFileSync(told, 'utf8').trim().split('\n').at(-1) ?? '')
      .split(' ')
      .map(Number);
    return { seconds, memory: kibibytes * 1024, processor: user + system };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/**
 * Runs all contenders in turn, so that what else the machine does hits all of them alike: first once to warm the page
 * cache and to see who can at all, then `rounds` times. Medians, by name; undefined: it cannot.
 */
export function compare(contenders: readonly Contender[], rounds: number): Map<string, Cost | undefined> {
  const runs = new Map<string, Cost[]>();
  for (const contender of contenders) {
    if (runOnce(contender) !== undefined) runs.set(contender.name, []);
  }
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) {
      const cost = runs.has(contender.name) ? runOnce(contender) : undefined;
      if (cost !== undefined) runs.get(contender.name)?.push(cost);
    }
  }
  return new Map(contenders.map(({ name }) => [name, medianOf(runs.get(name) ?? [])]));
}

function medianOf(costs: readonly Cost[]): Cost | undefined {
  if (costs.length === 0) return undefined;
  const middle = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
  return {
    seconds: middle(costs.map((cost) => cost.seconds)),
    memory: middle(costs.map((cost) => cost.memory)),
    processor: middle(costs.map((cost) => cost.processor)),
  };
}
