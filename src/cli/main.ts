#!/usr/bin/env node
import { runCommandLine } from './program.js';

// `exhume log x | head`: whoever reads has gone, so there is nobody to answer any more, and nothing is wrong.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runCommandLine(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
});
