import { createInterface } from 'node:readline';
import type { OpenFile, Surroundings } from '../session.js';
import { Completer } from './complete.js';
import { historyPath, readHistory, writeHistory } from './history.js';
import type { Shell } from './shell.js';

/** Reads lines from the terminal with history and completion, until `quit` or Ctrl-D. */
export async function runInteractive(shell: Shell, { subject }: OpenFile, surroundings: Surroundings): Promise<void> {
  const completer = new Completer(shell.program, subject);
  const path = historyPath(surroundings.environment);
  let history = readHistory(path);
  const readline = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: 'exhume> ',
    history,
    historySize: 1000,
    removeHistoryDuplicates: true,
    completer: (line: string) => completer.complete(line),
  });
  readline.on('history', (lines: string[]) => {
    history = lines;
  });
  const interrupt = (): void => {
    shell.interrupted = true;
  };
  // Ctrl-C: at the prompt, a new line; while there is output, its end.
  readline.on('SIGINT', () => {
    interrupt();
    readline.write(null, { ctrl: true, name: 'u' });
    process.stdout.write('\n');
    readline.prompt();
  });
  process.on('SIGINT', interrupt);
  try {
    readline.prompt();
    for await (const line of readline) {
      await shell.run(line);
      writeHistory(path, history);
      if (shell.ended) break;
      readline.prompt();
    }
  } finally {
    process.off('SIGINT', interrupt);
    readline.close();
    writeHistory(path, history);
  }
}

/** Runs the lines of a file or of a pipe, without a prompt. */
export async function runBatch(shell: Shell, lines: Iterable<string>): Promise<void> {
  for (const line of lines) {
    await shell.run(line);
    if (shell.ended) break;
  }
}
