import { type Command, Option } from 'commander';
import { example } from '../command.js';
import type { DeviceOptions } from '../device.js';
import type { Session } from '../session.js';
import { collect, count, optionsOf } from './shared.js';

/** `exhume device`. */
export function defineDevice(program: Command, session: Session): void {
  const command = program
    .command('device')
    .summary('be the virtio-pstore device of virtual machines: their last words become files')
    .description(
      'Serves a virtio-pstore device to each virtual machine that connects (QEMU 11: vfio-user-pci), and keeps what ' +
        'their kernels write when they die. Runs until a signal ends it; what happens is one JSON object a line.',
    )
    .requiredOption('--dir <dir>', 'where records are kept: a directory in it for each guest')
    .addOption(
      new Option(
        '--socket <path>',
        'a socket to listen on; it names the guest: web1.sock is that of web1. May be repeated',
      )
        .argParser(collect)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--buffer-size <bytes>', 'the largest record, 4096 to 1048576 (default: 16384)').argParser(count),
    )
    .action(async () => {
      const options = optionsOf<DeviceOptions & { json?: boolean }>(command);
      try {
        const { runDevice } = await import('../device.js');
        await runDevice(options, session.surroundings);
      } catch (error) {
        session.fail(error, false);
      }
    });
  example(command, 'exhume device --dir /var/lib/exhume --socket /run/exhume/web1.sock', 'one guest, web1');
}
