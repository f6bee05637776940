import { runCommandLine } from './program.js';

/** Runs a command line (without the program's own name) as this process: its streams, its environment, its exit status. */
export async function run(words: readonly string[]): Promise<void> {
  const { stdout, stderr, env } = process;
  stdout.on('error', quietly);
  process.exitCode = await runCommandLine(words, { stdout, stderr, environment: env });
}

/** `exhume log x | head`: whoever reads has gone, so there is nobody to answer any more, and nothing is wrong. */
function quietly(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
}
