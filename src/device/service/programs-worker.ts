/** The thread that starts programs: to start one waits until the disk has given it, and that may take as long as it likes. */

import { type ChildProcess, spawn } from 'node:child_process';
import { parentPort } from 'node:worker_threads';
import type { ProgramRequest, ProgramResponse } from './programs.js';

const port = parentPort;
if (port === null) throw new Error('this is the program of a worker thread');

const running = new Map<number, ChildProcess>();

port.on('message', (request: ProgramRequest) => {
  if (request === 'kill') for (const child of running.values()) kill(child);
  else start(request);
});

function start({ id, program, words, environment, patience }: Exclude<ProgramRequest, 'kill'>): void {
  // A process group of its own, so that its children end with it. Its stdout would be among our lines.
  const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'inherit'], detached: true, env: environment });
  running.set(id, child);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    kill(child);
  }, patience);
  const end = (problem: string | undefined): void => {
    clearTimeout(timer);
    running.delete(id);
    port?.postMessage({ id, problem } satisfies ProgramResponse);
  };
  child.on('error', (error) => end(error.message));
  child.on('exit', (status, signal) => {
    if (late) end(`it was ended after ${patience / 1000} s`);
    else end(status === 0 ? undefined : signal === null ? `exit status ${status}` : `ended by ${signal}`);
  });
}

function kill({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
