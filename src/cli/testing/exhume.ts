import { runCommandLine } from '../program.js';

/** Runs a command line in this process, and keeps what it prints. */
export async function exhume(...words: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const out = { stdout: '', stderr: '' };
  const stream = (name: keyof typeof out) => ({
    write: (text: string) => {
      out[name] += text;
    },
  });
  const status = await runCommandLine(words, { stdout: stream('stdout'), stderr: stream('stderr'), environment: {} });
  return { status, ...out };
}
