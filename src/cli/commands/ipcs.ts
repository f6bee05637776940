import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

interface IpcsCommandOptions {
  readonly sharedMemory?: boolean;
  readonly details?: boolean;
  readonly semaphores?: boolean;
  readonly queues?: boolean;
  readonly namespace?: string;
}

/** `exhume ipcs`. */
export function defineIpcs(program: Command, session: Session): void {
  const command = program
    .command('ipcs')
    .summary('System V shared memory, semaphores and message queues')
    .description('Shows the System V IPC facilities of the kernel, or of the IPC namespace of a task.')
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .option('-m, --shared-memory', 'shared memory segments only')
    .option('-M, --details', 'shared memory segments only, with their pages and inodes')
    .option('-s, --semaphores', 'semaphore arrays only')
    .option('-q, --queues', 'message queues only')
    .option('-n, --namespace <task>', 'the namespace of this task: a pid, address or name')
    .action(async (file: string) => {
      const options = optionsOf<IpcsCommandOptions>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildIpcs } = await import('../../report/ipcs.js');
        const { ipcsText } = await import('../../report/text/ipcs.js');
        const model = buildIpcs(subject, {
          sharedMemory: options.sharedMemory || options.details,
          semaphores: options.semaphores,
          messageQueues: options.queues,
          namespace: options.namespace,
        });
        return { model, lines: () => ipcsText(model, options.details === true) };
      });
    });
  example(command, 'exhume ipcs vmcore', 'all of them');
  example(command, 'exhume ipcs vmcore -M', 'how much shared memory was in memory and in swap?');
}
