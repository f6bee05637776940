import type { Command } from 'commander';
import { ExhumeError } from '../../bytes/errors.js';
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
    .argument('[cache...]', 'with -s: only these slab caches, by name or address of struct kmem_cache')
    .option('-i, --info', 'memory by its use; this is what is told without any option')
    .option('-M, --meminfo', "the same as the dead kernel's /proc/meminfo")
    .option('-s, --slabs', 'the caches of the slab allocator')
    .option('-f, --free', 'the free blocks of each zone by order and migration type')
    .option('-z, --zones', 'the zones: sizes, watermarks, counters')
    .option('-V, --vm-stat', 'all counters of the page allocator and of reclaim')
    .action(async (file: string, caches: string[]) => {
      const options = optionsOf<KmemCommandOptions>(command);
      await session.answer(options, async () => {
        if (caches.length > 0 && !options.slabs) {
          throw new ExhumeError('EXH_USAGE', 'names of slab caches need -s', { hint: 'exhume help kmem' });
        }
        const { subject } = await session.open([file], options);
        const { buildKmem } = await import('../../report/kmem.js');
        const { kmemText } = await import('../../report/text/kmem.js');
        const others = options.slabs || options.free || options.zones || options.vmStat;
        const model = buildKmem(subject, {
          use: options.info || options.meminfo || !others,
          slabs: options.slabs,
          caches,
          zones: options.zones,
          free: options.free,
          statistics: options.vmStat,
        });
        return { model, lines: () => kmemText(model, options.meminfo ? 'meminfo' : 'table') };
      });
    });
  example(command, 'exhume kmem vmcore', 'was it out of memory?');
  example(command, 'exhume kmem vmcore -s', 'which slab caches were large?');
  example(command, 'exhume kmem vmcore -M', 'the /proc/meminfo of the moment of death');
}
