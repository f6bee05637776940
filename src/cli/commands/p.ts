import { type Command, Option } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { optionsOf } from './shared.js';

interface PFlags {
  readonly type?: string;
  readonly hex?: boolean;
  readonly decimal?: boolean;
}

/** `exhume p`. */
export function defineP(program: Command, session: Session): void {
  const command = program
    .command('p')
    .summary('the value of a variable or expression')
    .description(
      'Shows the value of a small C expression: SYMBOL, SYMBOL:CPU of a per-CPU variable (:a for all CPUs), .member, ' +
        '->member, [index], *, &, (type). Kernels’ type information tells the types of per-CPU variables only: of other ' +
        'variables the type is known for the usual ones, or named with --type; otherwise they are shown as a number.',
    )
    .argument('<file>', 'a dump')
    .argument('<expression...>', 'what to show')
    .option('-t, --type <type>', 'the type of the variable that it begins with: struct foo, u32')
    .addOption(new Option('-x, --hex', 'integers in hexadecimal').conflicts('decimal'))
    .option('-d, --decimal', 'integers in decimal, the default')
    .action(async (file: string, words: string[]) => {
      const options = optionsOf<PFlags>(command);
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildP } = await import('../../report/p.js');
        const { pText } = await import('../../report/text/p.js');
        const model = buildP(subject, words.join(' '), { type: options.type, radix: options.hex ? 16 : 10 });
        return { model, lines: (text) => pText(model, text) };
      });
    });
  example(command, 'exhume p vmcore jiffies_64', 'a variable');
  example(command, "exhume p vmcore 'init_task.mm->pgd'", 'through members and pointers');
  example(command, 'exhume p vmcore runqueues:0.nr_running', 'of a per-CPU variable');
  example(command, "exhume p vmcore '*(struct list_head *)0xffffffff82a1aae8'", 'what is at an address');
}
