import { type Command, InvalidArgumentError, Option } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

interface StructFlags {
  readonly offsets?: boolean;
  readonly holes?: boolean;
  readonly hex?: boolean;
  readonly decimal?: boolean;
  readonly location?: string;
}

/** `exhume struct`, also called `union`. */
export function defineStruct(program: Command, session: Session): void {
  const command = program
    .command('struct')
    .alias('union')
    .summary('how a type is defined, or its values in memory')
    .description(
      'Shows the definition of a structure, union, enumeration or typedef as the kernel’s own type information (BTF) ' +
        'and that of its modules tells it. With an address, shows the values there.',
    )
    .argument('<file>', 'a dump')
    .argument('<type>', 'its name; NAME.MEMBER,MEMBER for a few members; quoted with struct, union or enum before it')
    .argument('[address]', 'a symbol, symbol+offset, or a hexadecimal address; after a per-CPU symbol :0,2-3 or :a')
    .argument('[count]', 'how many stand one after another there; negative: before there', signedCount)
    .option('--offsets', 'show where each member lies, in bytes (also -o, after the command’s name)')
    .option('--holes', 'show offsets, sizes and unused bytes, as pahole')
    .option('-l, --location <member>', 'what the address points to: a member, or bytes from the structure’s start')
    .addOption(new Option('-x, --hex', 'integers in hexadecimal').conflicts('decimal'))
    .option('-d, --decimal', 'integers in decimal, the default')
    .action(async (file: string, type: string, at: string | undefined, count: number | undefined) => {
      const options = optionsOf<StructFlags>(command);
      const { offsets, holes } = options;
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildStruct } = await import('../../report/struct.js');
        const { structText } = await import('../../report/text/struct.js');
        const radix = options.hex ? 16 : 10;
        const model = buildStruct(subject, type, { at, count, offset: options.location, radix });
        return { model, lines: (text) => structText(model, { ...text, offsets, holes }) };
      });
    });
  example(command, 'exhume struct vmcore task_struct -o', 'every member and where it lies');
  example(command, 'exhume struct vmcore page --holes', 'sizes and unused bytes too, as pahole shows them');
  example(command, 'exhume struct vmcore task_struct init_task', 'the values of one');
  example(
    command,
    'exhume struct vmcore task_struct.pid,comm ffff888003e0e890 -l tasks',
    'two members, from a list node',
  );
  example(command, 'exhume struct vmcore rq.nr_running,clock runqueues:a', 'a per-CPU variable, of every CPU');
}

/** `exhume whatis`. */
export function defineWhatis(program: Command, session: Session): void {
  const command = program
    .command('whatis')
    .summary('the type of a symbol, or how a type is defined')
    .description(
      'Shows the prototype of a function, the type of a per-CPU variable, or the definition of a type. ' +
        'The type information of kernels does not tell the types of other variables.',
    )
    .argument('<file>', 'a dump')
    .argument('<name>', 'a function, a per-CPU variable, or a type')
    .action(async (file: string, name: string) => {
      const options = optionsOf(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildWhatis } = await import('../../report/struct.js');
        const { structText } = await import('../../report/text/struct.js');
        const model = buildWhatis(subject, name);
        return { model, lines: (text) => structText(model, text) };
      });
    });
  example(command, 'exhume whatis vmcore panic', 'its parameters');
  example(command, 'exhume whatis vmcore gfp_t', 'a typedef');
}

/** A count that may be negative. */
export function signedCount(text: string): number {
  const value = Number(text);
  if (!/^-?(0x[0-9a-f]+|\d+)$/i.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('It is not a whole number.');
  }
  return value;
}
