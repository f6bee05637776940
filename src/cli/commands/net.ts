import type { Command } from 'commander';
import { ExhumeError } from '../../bytes/errors.js';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume net`. */
export function defineNet(program: Command, session: Session): void {
  const command = program
    .command('net')
    .summary('network interfaces, and the sockets of tasks')
    .description(
      'Shows the network interfaces with their addresses, or with -s the sockets that processes have open: family, ' +
        'type, state and both ends.',
    )
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .argument('[task...]', 'with -s: only these: pids, task_struct addresses, names of commands')
    .option('-s, --sockets', 'the open sockets of tasks')
    .option('-n, --namespace <task>', 'the interfaces that this task can see: a pid, address or name')
    .action(async (file: string, selectors: string[]) => {
      const options = optionsOf<{ sockets?: boolean; namespace?: string }>(command);
      await session.answer(options, async () => {
        if (selectors.length > 0 && !options.sockets) {
          throw new ExhumeError('EXH_USAGE', 'tasks need -s', { hint: 'exhume help net' });
        }
        const { subject } = await session.open([file], options);
        const { buildNet } = await import('../../report/net.js');
        const { netText } = await import('../../report/text/net.js');
        const model = buildNet(subject, { sockets: options.sockets, selectors, namespace: options.namespace });
        return { model, lines: () => netText(model) };
      });
    });
  example(command, 'exhume net vmcore', 'which addresses did it have?');
  example(command, 'exhume net vmcore -s sshd', 'which connections did sshd have?');
}
