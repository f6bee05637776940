import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

/** `exhume dev`. */
export function defineDev(program: Command, session: Session): void {
  const command = program
    .command('dev')
    .summary('the devices')
    .description('Shows character and block devices with what is called to use them, PCI devices, and disks.')
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .option('-p, --pci', 'the PCI buses and what is on them')
    .option('-d, --disks', 'the disks, and what was read from and written to them')
    .action(async (file: string) => {
      const options = optionsOf<{ pci?: boolean; disks?: boolean }>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildDev } = await import('../../report/dev.js');
        const { devText } = await import('../../report/text/dev.js');
        const model = buildDev(subject, options.pci);
        return { model, lines: () => devText(model, options.pci ? 'pci' : options.disks ? 'disks' : 'numbers') };
      });
    });
  example(command, 'exhume dev vmcore', 'character and block devices');
  example(command, 'exhume dev vmcore -p', 'PCI devices and their drivers');
  example(command, 'exhume dev vmcore -d', 'disks');
}
