import type { Command } from 'commander';

/** What makes no sense inside the shell, or is the shell itself. */
const OUTSIDE: ReadonlySet<string> = new Set(['shell', 'completion', 'help']);

/** The commands that the shell has: those of the program that answer about a dump. */
export function withoutShell(program: Command): Command[] {
  return program.commands.filter((command) => !OUTSIDE.has(command.name()));
}

/** The commands, a line each. */
export function commandList(program: Command): string {
  const rows = withoutShell(program).map((command) => [command.name(), command.summary()] as const);
  const all = [...rows, ['quit', 'leave the shell'] as const].sort(([a], [b]) => (a < b ? -1 : 1));
  const width = Math.max(...all.map(([name]) => name.length));
  const lines = all.map(([name, summary]) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    'Commands are written without the dump; what follows | goes to the system’s shell, > FILE and >> FILE write a file.',
    '',
    ...lines,
    '',
    'help COMMAND shows one in full, with examples.',
    '',
  ].join('\n');
}
