import { Argument, type Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume completion`. */
export function defineCompletion(program: Command, session: Session): void {
  const command = program
    .command('completion')
    .summary('print a completion script for a shell')
    .description('Prints a script that completes commands and options in a shell.')
    .addArgument(new Argument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completionScript } = await import('../completion.js');
      await session.text(optionsOf(command), completionScript(program, shell));
    });
  example(command, 'source <(exhume completion bash)', 'in ~/.bashrc');
  example(command, 'exhume completion zsh > ~/.zfunc/_exhume', 'with fpath+=~/.zfunc before compinit in ~/.zshrc');
  example(command, 'exhume completion fish > ~/.config/fish/completions/exhume.fish', 'for fish');
}
