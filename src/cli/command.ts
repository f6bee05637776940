import type { Command } from 'commander';

export interface Example {
  readonly command: string;
  /** What it does, in a few words. */
  readonly says: string;
}

const examples = new WeakMap<Command, Example[]>();

/** Adds an example to a command. Help, man page and documentation show the same ones. */
export function example(to: Command, command: string, says: string): void {
  const known = examples.get(to);
  if (known !== undefined) {
    known.push({ command, says });
    return;
  }
  const list = [{ command, says }];
  examples.set(to, list);
  to.addHelpText('after', () => {
    const lines = list.map((one) => `  ${one.command}\n      ${one.says}`);
    return `\n${['Examples:', ...lines].join('\n')}`;
  });
}

export function examplesOf(command: Command): readonly Example[] {
  return examples.get(command) ?? [];
}
