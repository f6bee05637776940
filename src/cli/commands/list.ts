import { type Command, Option } from 'commander';
import { example } from '../command.js';
import type { Session } from '../session.js';
import { collect, optionsOf } from './shared.js';

interface ShownFlags {
  readonly show?: readonly string[];
  readonly hex?: boolean;
  readonly decimal?: boolean;
  readonly offset?: string;
}

interface ListFlags extends ShownFlags {
  readonly head?: boolean;
  readonly headStructure?: boolean;
  readonly reverse?: boolean;
  readonly end?: string;
}

interface TreeFlags extends ShownFlags {
  readonly type: 'rbtree' | 'radix' | 'xarray' | 'maple' | 'idr';
  readonly rootOffset?: string;
}

function addShown(command: Command, offset: string): Command {
  return command
    .addOption(
      new Option(
        '-s, --show <struct>',
        'show this structure at each entry, or STRUCT.MEMBER,MEMBER; repeatable',
      ).argParser(collect),
    )
    .option('--offset <offset>', `${offset}: bytes, or STRUCT.MEMBER (also -o, after the command’s name)`)
    .addOption(new Option('-x, --hex', 'integers in hexadecimal').conflicts('decimal'))
    .option('-d, --decimal', 'integers in decimal, the default');
}

/** `exhume list`. */
export function defineList(program: Command, session: Session): void {
  const command = addShown(
    program
      .command('list')
      .summary('the entries of a linked list')
      .description(
        'Follows a linked list to NULL or to where it began. By default the start is the first structure, and the ' +
          'pointer at the offset leads to the next structure. A list that runs in a circle, or leads where there is no ' +
          'memory, is shown to there.',
      )
      .argument('<file>', 'a dump')
      .argument('<start>', 'a symbol, an address, or an expression as for p'),
    'where in each structure the list’s pointer is',
  )
    .addOption(
      new Option(
        '--head-structure',
        'the start is a structure with an embedded list_head; it is shown too (also -h, after the command’s name)',
      ).conflicts('head'),
    )
    .option('--head', 'the start is a list_head on its own, and not shown (also -H, after the command’s name)')
    .option('-r, --reverse', 'follow prev instead of next')
    .option('-e, --end <address>', 'end before this structure')
    .action(async (file: string, start: string) => {
      const options = optionsOf<ListFlags>(command);
      const { show, offset, reverse, end } = options;
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildList } = await import('../../report/list.js');
        const { listText } = await import('../../report/text/list.js');
        const from = options.head ? 'head' : options.headStructure ? 'structure' : 'entry';
        const model = buildList(subject, start, { from, show, offset, reverse, end, radix: options.hex ? 16 : 10 });
        return { model, lines: (text) => listText(model, text) };
      });
    });
  example(command, 'exhume list vmcore -o task_struct.tasks -s task_struct.pid,comm -h init_task', 'every process');
  example(command, 'exhume list vmcore -H modules -o module.list -s module.name', 'every module, from the list’s head');
  example(command, 'exhume list vmcore init_task.tasks', 'the list nodes themselves');
}

/** `exhume tree`. */
export function defineTree(program: Command, session: Session): void {
  const command = addShown(
    program
      .command('tree')
      .summary('what a red-black tree, XArray, radix tree, maple tree or IDR holds')
      .description('Shows what a tree holds, in order. Damaged branches are left out, and told.')
      .argument('<file>', 'a dump')
      .argument('<start>', 'the tree’s root: a symbol, an address, or an expression as for p'),
    'of a red-black tree: where in each structure its rb_node is',
  )
    .addOption(
      new Option('-t, --type <type>', 'the kind of tree')
        .choices(['rbtree', 'radix', 'xarray', 'maple', 'idr'])
        .default('rbtree'),
    )
    .option('-r, --root-offset <offset>', 'where in the structure at the start the root is: bytes, or STRUCT.MEMBER')
    .action(async (file: string, start: string) => {
      const options = optionsOf<TreeFlags>(command);
      const { type, show, offset, rootOffset } = options;
      await session.answer(options, async () => {
        const { subject } = await session.open([file], options);
        const { buildTree } = await import('../../report/tree.js');
        const { treeText } = await import('../../report/text/list.js');
        const model = buildTree(subject, start, { type, show, offset, rootOffset, radix: options.hex ? 16 : 10 });
        return { model, lines: (text) => treeText(model, text) };
      });
    });
  example(command, 'exhume tree vmcore -t maple sparse_irqs -s irq_desc.irq_data.irq', 'every interrupt');
  example(command, 'exhume tree vmcore -t idr init_pid_ns.idr', 'every process number');
  example(
    command,
    'exhume tree vmcore -o vmap_area.rb_node -s vmap_area.va_start,va_end vmap_area_root',
    'the kernel’s own mappings',
  );
}
