import { type Command, Option } from 'commander';
import { LOG_LEVELS } from '../../device/log-events.js';
import { PROTOCOLS } from '../../device/protocol.js';
import { DISK_ERROR_ACTIONS } from '../../device/service/options.js';
import { parseAddress, parseBytes, parseCount, parseMode } from '../../device/service/values.js';
import { example } from '../command.js';
import type { DeviceOptions } from '../device.js';
import type { Session } from '../session.js';
import { collect, optionsOf } from './shared.js';

/** `exhume device`. */
export function defineDevice(program: Command, session: Session): void {
  const command = program
    .command('device')
    .summary('be the virtio-pstore device of virtual machines: their last words become files')
    .description(
      'Serves a virtio-pstore device to each virtual machine that connects (vfio-user, vhost-user), and keeps what ' +
        'their kernels write when they die. Runs until a signal ends it; SIGHUP makes it read its configuration again. ' +
        'What happens is one JSON object a line. Sizes may be given as 64K, 16M, 1G.',
    )
    .addOption(new Option('--config <file>', 'the same options as JSON, and policies for single guests and types'))
    .addOption(new Option('--dir <dir>', 'where records are kept: a directory in it for each guest'))
    .addOption(
      new Option(
        '--socket <path>',
        'a socket to listen on, whose name is the guest: web1.sock is that of web1; or a directory, or a path with ' +
          '{guest}, for all that --guest or --discover tell. May be repeated',
      ).argParser(collect),
    )
    .addOption(new Option('--guest <name>', 'a guest to serve; may be repeated').argParser(collect))
    .addOption(new Option('--discover', 'serve every guest that has a directory in --dir, also one that is made later'))
    .addOption(new Option('--socket-mode <mode>', 'rights of the sockets, octal (default: 600)').argParser(parseMode))
    .addOption(
      new Option('--buffer-size <bytes>', 'the largest record, 4096 to 1048576 (default: 16384)').argParser(parseBytes),
    )
    .addOption(
      new Option(
        '--protocol <version>',
        'what drivers speak: version 1 of the patches of 2016, or 2 to 5 (default: 2)',
      ).choices(PROTOCOLS),
    )
    .addOption(
      new Option('--keep-first <n>', 'records of each type that are never pushed out (default: 32)').argParser(
        parseCount,
      ),
    )
    .addOption(
      new Option('--keep-last <n>', 'further records of each type, the newest (default: 96)').argParser(parseCount),
    )
    .addOption(new Option('--guest-quota <bytes>', 'bytes of one guest (default: 64M)').argParser(parseBytes))
    .addOption(new Option('--total-quota <bytes>', 'bytes of all guests (default: 1G)').argParser(parseBytes))
    .addOption(
      new Option('--rate <bytes>', 'bytes a second that a guest may write in the long run (default: 1M)').argParser(
        parseBytes,
      ),
    )
    .addOption(new Option('--burst <bytes>', 'bytes that it may write at once (default: 16M)').argParser(parseBytes))
    .addOption(
      new Option(
        '--on-disk-error <action>',
        'when the disk fails or is full: refuse the record, or pause the machine until it is told to go on (default: refuse)',
      ).choices(DISK_ERROR_ACTIONS),
    )
    .addOption(
      new Option(
        '--qmp <path>',
        "where the machines' QMP monitors are: a directory of NAME.qmp, or a path with {guest}",
      ),
    )
    .addOption(
      new Option(
        '--on-record <command>',
        "a program to run for each record, with the path of the record's description; no shell",
      ).argParser((value: string) => [value]),
    )
    .addOption(
      new Option('--metrics <address>', 'serve metrics for Prometheus: PORT of 127.0.0.1, or HOST:PORT').argParser(
        parseAddress,
      ),
    )
    .addOption(new Option('--log-level <level>', 'the least that is told (default: info)').choices(LOG_LEVELS))
    .action(async () => {
      const options = optionsOf<DeviceOptions>(command);
      try {
        const { runDevice } = await import('../device.js');
        await runDevice(options, session.surroundings);
      } catch (error) {
        session.fail(error, false);
      }
    });
  example(command, 'exhume device --dir /var/lib/exhume --socket /run/exhume/web1.sock', 'one guest, web1');
  example(
    command,
    'exhume device --dir /var/lib/exhume --socket /run/exhume --discover',
    'every guest that has a directory in /var/lib/exhume',
  );
  example(command, 'exhume device --config /etc/exhume/device.json', 'as the file says');
}
