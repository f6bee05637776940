import { Argument, type Command, Option } from 'commander';
import { ExhumeError } from '../../bytes/errors.js';
import { example } from '../command.js';
import type { HandoverOptions, OpenedHandovers } from '../handover-source.js';
import type { Answer, Session } from '../session.js';
import { memoryOption, optionsOf } from './shared.js';

type Action = 'show' | 'map' | 'check' | 'extract' | 'build';
type KhoOptions = HandoverOptions & {
  readonly target?: string;
  readonly commandLine?: string;
  readonly image?: string;
  readonly ftraceFrom?: string;
  readonly series?: 'v2' | 'v3';
  readonly buffer?: string;
  readonly from?: string;
  readonly tree?: string;
  readonly directory?: string;
  readonly dts?: true;
};

/** Options that not every action has: their names, and which have them. */
const OPTIONS_OF: readonly (readonly [option: keyof KhoOptions, name: string, actions: readonly Action[]])[] = [
  ['memory', '--memory', ['show', 'map', 'check', 'extract']],
  ['dts', '--dts', ['show']],
  ['image', '--image', ['map']],
  ['target', '--target', ['check']],
  ['commandLine', '--command-line', ['check']],
  ['tree', '--tree', ['build']],
  ['directory', '--directory', ['build']],
  ['from', '--from', ['build']],
  ['ftraceFrom', '--ftrace-from', ['build']],
  ['series', '--series', ['build']],
  ['buffer', '--buffer', ['build']],
];

/** `exhume kho`. */
export function defineKho(program: Command, session: Session): void {
  const command = program
    .command('kho')
    .summary('what a kernel hands over to the next one in a kexec')
    .description(
      'Shows kexec handovers (KHO): the tree with everything in it in words, the memory that is preserved, and for whom, ' +
        'or what the next kernel would refuse or lose; takes out what was handed over; makes handovers to test with. Of all upstream versions, and of the series of 2023/24.',
    )
    .addArgument(
      new Argument(
        '<action>',
        'show: the tree; map: the memory; check: what goes wrong (exit status 1 when something does); extract: bytes, to a file; build: a handover, of what a file says',
      ).choices(['show', 'map', 'check', 'extract', 'build']),
    )
    .argument(
      '[path]',
      'a tree, a directory copied from /sys/kernel/debug/kho, or a dump of either kernel; build: a description (JSON, or *.dts), or nothing with --ftrace-from',
    )
    .argument('[name]', 'extract: a user, a reserve_mem area, a file (session/token)')
    .addOption(memoryOption())
    .addOption(new Option('--dts', "show: the tree as a device tree's source text, for dtc"))
    .addOption(
      new Option(
        '--image <file>',
        'map: draw the physical address space, as SVG to a file called *.svg, else as text; -: text, in place of the table',
      ),
    )
    .addOption(new Option('--target <path>', 'check: a dump or tree of the kernel that is to take it'))
    .addOption(new Option('--command-line <text>', 'check: the command line of the kernel that is to take it'))
    .addOption(new Option('--ftrace-from <dump>', "build: a handover of 2023/24 with the trace of a dump's kernel"))
    .addOption(new Option('--series <version>', 'build: which version of it').choices(['v2', 'v3']))
    .addOption(new Option('--buffer <name>', 'build: the buffer of this instance, not that of the top level'))
    .addOption(new Option('--from <dump>', 'build: the handover of a dump again, and nothing else of it'))
    .addOption(new Option('--tree <file>', 'build: write the tree alone'))
    .addOption(new Option('--directory <directory>', 'build: write the tree and descriptions, as debugfs has them'))
    .action(async (action: Action, path: string | undefined, name: string | undefined) => {
      const options = optionsOf<KhoOptions>(command);
      refuseOptions(action, options);
      if (name !== undefined && action !== 'extract') {
        throw new ExhumeError('EXH_USAGE', `${action} takes no name`, { hint: 'extract does' });
      }
      if (action === 'build') {
        const { output, ...rest } = options;
        return session.answer(rest, () => build(session, path, options));
      }
      if (path === undefined) throw new ExhumeError('EXH_USAGE', `name what to ${action}: a tree, a directory, a dump`);
      if (action !== 'extract') return session.answer(options, () => answer(session, action, path, options));
      // The file of -o is for the bytes.
      const { output, ...rest } = options;
      return session.answer(rest, () => extract(session, path, name, output, rest));
    });
  example(command, 'exhume kho show vmcore', 'what was handed over, in words');
  example(command, 'exhume kho map vmcore', 'which memory is preserved, and by whom');
  example(command, 'exhume kho map vmcore --image map.svg', 'the same as a picture of the physical address space');
  example(command, 'exhume kho show kho/out/fdt', 'a tree, also one that the kernel cut off');
  example(command, 'exhume kho show --dts kho/in/fdt', 'the same as source text, for dtc');
  example(command, 'exhume kho map kho --memory vmcore', 'copied files, and the memory that they speak of');
  example(command, 'exhume kho extract vmcore vm/7 -o memory', 'the bytes of a memfd that was preserved');
  example(command, 'exhume kho build handover.json -o vmcore', 'a dump of a handover that a file describes');
  example(command, 'exhume kho build --from vmcore -o handed', 'the handover of a dump, and nothing else of it');
  example(command, 'exhume kho build --ftrace-from vmcore -o handed', 'a handover of 2023/24 with the trace in a dump');
  example(command, 'exhume kho check vmcore --target other-vmcore', 'would the kernel of another dump take it?');
}

async function answer(session: Session, action: Action, path: string, options: KhoOptions): Promise<Answer> {
  const { openHandovers } = await import('../handover-source.js');
  const source = await openHandovers(session, path, options);
  if (action === 'check') return check(session, source, options);
  const { buildKho } = await import('../../report/kho.js');
  const { khoMapText, khoShowText } = await import('../../report/text/kho.js');
  const model = buildKho(source);
  if (options.dts) return { model, lines: await sourceText(source) };
  if (options.image !== undefined) {
    const { drawKho } = await import('../kho-draw.js');
    const picture = drawKho(source, options.image);
    if (picture !== undefined) return { model, lines: () => picture };
  }
  return { model, lines: () => (action === 'map' ? khoMapText(model) : khoShowText(model)) };
}

/** A text has one tree. */
async function sourceText({ handovers }: OpenedHandovers): Promise<Answer['lines']> {
  const { dtsText } = await import('../../handover/fdt/dts.js');
  const [handover, another] = handovers;
  if (another !== undefined) {
    throw new ExhumeError('EXH_USAGE', `there are ${handovers.length} trees, and a source text has one`, {
      hint: 'name one tree: in/fdt or out/fdt of a copied directory',
    });
  }
  const text = handover === undefined ? '' : dtsText(handover.tree);
  return () => text.split('\n').slice(0, -1);
}

async function check(
  session: Session,
  source: OpenedHandovers,
  { target: path, commandLine }: KhoOptions,
): Promise<Answer> {
  const { buildKhoCheck } = await import('../../report/kho-check.js');
  const { khoCheckText } = await import('../../report/text/kho-check.js');
  const { openHandovers } = await import('../handover-source.js');
  const { targetOfTrace } = await import('../trace-handover.js');
  const opened = path === undefined ? undefined : await openHandovers(session, path, {});
  const target = opened && { ...opened, ftrace: targetOfTrace(source.handovers, opened.kernel) };
  const model = buildKhoCheck({ ...source, target, commandLine: commandLine ?? opened?.kernel?.commandLine });
  return { model, lines: () => khoCheckText(model), failed: !model.passed };
}

async function build(session: Session, path: string | undefined, options: KhoOptions): Promise<Answer> {
  const { output, tree, directory, from, ftraceFrom, series, buffer } = options;
  const { buildFromDump, buildFromFile, buildFromTrace } = await import('../kho-build.js');
  if (from !== undefined) {
    if (path !== undefined || ftraceFrom !== undefined || series !== undefined || buffer !== undefined) {
      throw new ExhumeError('EXH_USAGE', '--from takes the place of a description, and of the other options of build');
    }
    return buildFromDump(session, from, { output, tree, directory });
  }
  if (ftraceFrom === undefined) {
    if (series !== undefined || buffer !== undefined) {
      throw new ExhumeError('EXH_USAGE', '--series and --buffer belong to --ftrace-from');
    }
    if (path !== undefined) return buildFromFile(path, { output, tree, directory });
    throw new ExhumeError('EXH_USAGE', 'name a description, or a dump with --ftrace-from');
  }
  if (path !== undefined) throw new ExhumeError('EXH_USAGE', '--ftrace-from takes the place of a description');
  return buildFromTrace(session, ftraceFrom, { output, tree, directory, buffer, series: series ?? 'v3' });
}

async function extract(
  session: Session,
  path: string,
  name: string | undefined,
  output: string | undefined,
  options: KhoOptions,
): Promise<Answer> {
  if (name === undefined || output === undefined || output === '-') {
    throw new ExhumeError('EXH_USAGE', 'name what to extract, and the file to write', { hint: 'PATH NAME -o FILE' });
  }
  const { openHandovers } = await import('../handover-source.js');
  const { handovers, memory, kernel } = await openHandovers(session, path, options);
  if (memory === undefined) {
    throw new ExhumeError('EXH_USAGE', `${path} has no memory to extract from`, {
      hint: '--memory names a dump that has it',
    });
  }
  const { copyExtract, findExtract } = await import('../../handover/extract.js');
  const { notedOrders } = await import('../../handover/sources/page-marks.js');
  const { OutputFile } = await import('../../bytes/node/output-file.js');
  const { buildKhoExtract } = await import('../../report/kho-extract.js');
  const { khoExtractText } = await import('../../report/text/kho-extract.js');
  const found = findExtract(handovers, name, kernel && notedOrders(kernel));
  OutputFile.whole(output, (file) => copyExtract(found, memory, file));
  const model = buildKhoExtract(found, output);
  return { model, lines: () => khoExtractText(model) };
}

function refuseOptions(action: Action, options: KhoOptions): void {
  for (const [option, name, actions] of OPTIONS_OF) {
    if (options[option] !== undefined && !actions.includes(action)) {
      throw new ExhumeError('EXH_USAGE', `${name} does not belong to ${action}`, {
        hint: `it belongs to ${actions.join(', ')}`,
      });
    }
  }
  if (options.image === '-' && options.json) {
    throw new ExhumeError('EXH_USAGE', 'a picture is no JSON', { hint: '--image FILE draws beside the answer' });
  }
}
