import type { Command } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

interface KmemCommandOptions {
  readonly info?: boolean;
  readonly meminfo?: boolean;
  readonly slabs?: boolean;
  readonly free?: boolean;
  readonly zones?: boolean;
  readonly vmStat?: boolean;
  readonly vmalloc?: boolean;
}

/** `exhume kmem`. */
export function defineKmem(program: Command, session: Session): void {
  const command = program
    .command('kmem')
    .summary('how memory was used')
    .description(
      'Shows where memory went when the kernel died: free, cached, slabs, swap, promised. Counters are told as the ' +
        'kernel itself reads them.',
    )
    .argument('<file>', 'a dump; give further files of a split one with --part')
    .argument('[what...]', 'addresses or symbols: what they are. With -s: slab caches, by name or address')
    .option('-i, --info', 'memory by its use; this is what is told without any option')
    .option('-M, --meminfo', "the same as the dead kernel's /proc/meminfo")
    .option('-s, --slabs', 'the caches of the slab allocator')
    .option('-f, --free', 'the free blocks of each zone by order and migration type')
    .option('-z, --zones', 'the zones: sizes, watermarks, counters')
    .option('-v, --vmalloc', 'the areas of vmalloc, and who asked for them')
    .option('-V, --vm-stat', 'all counters of the page allocator and of reclaim')
    .action(async (file: string, what: string[]) => {
      const options = optionsOf<KmemCommandOptions>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildKmem } = await import('../../report/kmem.js');
        const { kmemText } = await import('../../report/text/kmem.js');
        const addresses = options.slabs ? [] : what;
        const others = options.slabs || options.free || options.zones || options.vmStat || options.vmalloc;
        const model = buildKmem(subject, {
          use: options.info || options.meminfo || (!others && addresses.length === 0),
          slabs: options.slabs,
          caches: options.slabs ? what : [],
          zones: options.zones,
          free: options.free,
          statistics: options.vmStat,
          areas: options.vmalloc,
          addresses,
        });
        return { model, lines: () => kmemText(model, options.meminfo ? 'meminfo' : 'table') };
      });
    });
  example(command, 'exhume kmem vmcore', 'was it out of memory?');
  example(command, 'exhume kmem vmcore -s', 'which slab caches were large?');
  example(command, 'exhume kmem vmcore ffff8d6242660400', 'what is at this address?');
  example(command, 'exhume kmem vmcore -M', 'the /proc/meminfo of the moment of death');
}
