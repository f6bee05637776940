import { type Command, Option } from 'commander';
import type { DebugFiles } from '../../report/source-lines.js';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { cpuList } from './cpu-list.js';
import { collect, optionsOf } from './shared.js';

interface BtFlags {
  readonly cpu?: number[];
  readonly active?: boolean;
  readonly all?: boolean;
  readonly textAddresses?: boolean;
  readonly allTextAddresses?: boolean;
  readonly frameWords?: boolean;
  readonly frameSymbols?: boolean;
  readonly raw?: boolean;
  readonly symbolOffsets?: boolean;
  readonly lines?: boolean;
  readonly debug?: string[];
}

/** `exhume bt`. */
export function defineBt(program: Command, session: Session): void {
  const command = program
    .command('bt')
    .summary('kernel stacks of tasks and CPUs')
    .description(
      'Shows the kernel stacks of tasks, innermost frame first: by default of the task in which the kernel died, or ' +
        'where it did not, of what every CPU was running. Frames that the unwind tables do not tell are marked as guessed.',
    )
    .argument('<file>', 'a dump')
    .argument('[task...]', 'a pid, the address of a task_struct, or the name of a command')
    .addOption(new Option('-c, --cpu <list>', 'what these CPUs were running: 0,2-3').argParser(cpuList))
    .addOption(new Option('-a, --active', 'what every CPU was running'))
    .addOption(new Option('--all', 'every task').conflicts(['cpu', 'active']))
    .option('-t, --text-addresses', 'every address of kernel code on the stacks; ? marks those that no frame has')
    .option('-T, --all-text-addresses', 'the same of the whole stacks, also below where they were in use')
    .option('-f, --frame-words', 'the words that each frame has on the stack')
    .option('-F, --frame-symbols', 'the same, addresses of the kernel by name, of slab objects with their cache')
    .option('-r, --raw', "all words of the task's stack")
    .option('-s, --symbol-offsets', 'functions with offsets')
    .option('-l, --lines', 'source file and line of every frame, from debug files of the same build')
    .addOption(
      new Option('--debug <path>', 'a vmlinux, a debug file or a directory with them; may be repeated; implies --lines')
        .argParser(collect)
        .implies({ lines: true }),
    )
    .action(async (file: string, selectors: string[]) => {
      const options = optionsOf<BtFlags>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildBt } = await import('../../report/bt.js');
        const { btText } = await import('../../report/text/bt.js');
        const debugFiles = options.lines ? await searchDebugFiles(options.debug, session) : undefined;
        const model = buildBt(subject, {
          selectors,
          cpus: options.cpu,
          active: options.active,
          all: options.all,
          textAddresses: options.textAddresses,
          debugFiles,
          allTextAddresses: options.allTextAddresses,
          words: options.frameWords || options.frameSymbols,
          raw: options.raw,
        });
        const style = { offsets: options.symbolOffsets, symbols: options.frameSymbols };
        return { model, lines: (text) => btText(model, text, style) };
      });
    });
  example(command, 'exhume bt vmcore', 'where the kernel died');
  example(command, 'exhume bt vmcore -a', 'what every CPU was doing');
  example(command, 'exhume bt vmcore -l --debug vmlinux', 'with source files and lines');
  example(command, 'exhume bt vmcore 1 kthreadd', 'the stacks of pid 1, and of all tasks of a name');
}

async function searchDebugFiles(given: readonly string[] = [], { surroundings }: Session): Promise<DebugFiles> {
  const { DebugFileSearch } = await import('../debug-files.js');
  return new DebugFileSearch(given, surroundings.environment);
}
