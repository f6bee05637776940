/** One lab at a time: two would make the same scene over each other. */

import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { labPath } from './directories.js';
import { say } from './shell.js';

/** Waits until no other lab works in the same directory, and keeps others out until this process ends. */
export async function lockLab(): Promise<void> {
  const path = join(labPath(), 'lock');
  const own = `${path}.${process.pid}`;
  writeFileSync(own, `${process.pid}\n`);
  for (let told = false; ; told = true) {
    try {
      // A link appears with its content at once, or fails because another lab has the lock.
      linkSync(own, path);
      rmSync(own);
      process.on('exit', () => rmSync(path, { force: true }));
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1));
      return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const holder = readHolder(path);
    if (holder === undefined || !isAlive(holder)) {
      rmSync(path, { force: true });
      continue;
    }
    if (!told) say(`waiting for the lab of process ${holder}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

function readHolder(path: string): number | undefined {
  try {
    return Number(readFileSync(path, 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
