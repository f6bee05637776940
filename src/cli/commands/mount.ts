import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume mount`. */
export function defineMount(program: Command, session: Session): void {
  const command = program
    .command('mount')
    .summary('the mounted file systems')
    .description(
      'Shows what was mounted where, in the mount namespace of the first process or of another one. Options that the ' +
        'file system itself keeps (size=…) are not told: they are printed by its code.',
    )
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .argument('[mount...]', 'only these: directories, devices, addresses of struct mount or super_block')
    .option('-n, --namespace <task>', 'the namespace of this task: a pid, address or name')
    .option('-p, --proc', 'lines as in /proc/mounts: only what the task can see')
    .action(async (file: string, only: string[]) => {
      const options = optionsOf<{ namespace?: string; proc?: boolean }>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildMount } = await import('../../report/mount.js');
        const { mountText } = await import('../../report/text/mount.js');
        const model = buildMount(subject, { task: options.namespace, only });
        const style = options.proc ? 'proc' : 'table';
        return { model, lines: () => mountText(model, style, options.namespace !== undefined) };
      });
    });
  example(command, 'exhume mount vmcore', 'everything that was mounted');
  example(command, 'exhume mount vmcore -n 1234 -p', 'as process 1234 saw /proc/mounts');
}
