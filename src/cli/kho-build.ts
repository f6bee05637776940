import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { physicalAddress } from '../bytes/address.js';
import type { ByteSource } from '../bytes/byte-source.js';
import { ExhumeError } from '../bytes/errors.js';
import { OutputFile } from '../bytes/node/output-file.js';
import { FileSource, ioError } from '../bytes/node.js';
import { type BuiltHandover, buildHandover } from '../handover/build/build.js';
import { describeHandover } from '../handover/build/describe.js';
import type { KhoBuildDescription } from '../handover/build/description.js';
import { parseDtsDescription } from '../handover/build/dts-description.js';
import { parseDescription } from '../handover/build/parse.js';
import { describeFtrace } from '../handover/ftrace/describe.js';
import { KernelView } from '../kernel/kernel-view.js';
import { type BuiltTrace, reportBuilt } from '../report/kho-built.js';
import { requireKernel } from '../report/subject.js';
import { khoBuiltText } from '../report/text/kho-built.js';
import { TOP } from '../report/trace.js';
import { kernelFtrace } from '../trace/handover/kernel-rings.js';
import { MemoryStretch } from '../trace/ring/persistent-search.js';
import { openHandovers } from './handover-source.js';
import type { Answer, Session } from './session.js';

/** What is to be written; undefined: not that. */
export interface BuildOutputs {
  /** The dump: `-o`. */
  readonly output: string | undefined;
  /** The tree alone. */
  readonly tree: string | undefined;
  /** As `/sys/kernel/debug/kho/out`: `fdt`, `sub_fdts/*`, `scratch_phys`, `scratch_len`. */
  readonly directory: string | undefined;
}

/**
 * `exhume kho build`: lays out what a description says (JSON; a device tree's source when it is called `*.dts`), and writes it.
 * Files that it names are looked for beside it.
 * Throws EXH_USAGE for mistakes in the description or when nothing is to be written, EXH_IO, EXH_NO_SPACE.
 */
export function buildFromFile(path: string, outputs: BuildOutputs): Answer {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw ioError(path, 'read', error);
  }
  const folder = dirname(path);
  const parse = path.endsWith('.dts') ? parseDtsDescription : parseDescription;
  return writeBuilt(parse(text, path), (name) => FileSource.open(resolve(folder, name)), outputs);
}

/**
 * `exhume kho build --from`: the handover of a dump again, and nothing else of it. Of several that to the next kernel.
 * Throws EXH_USAGE where there is none that can be built again, and as opening the dump does.
 */
export async function buildFromDump(session: Session, path: string, outputs: BuildOutputs): Promise<Answer> {
  const { handovers, memory } = await openHandovers(session, path, {});
  const handover = handovers.find(({ direction }) => direction === 'outgoing') ?? handovers[0];
  if (handover === undefined || memory === undefined) {
    throw new ExhumeError('EXH_USAGE', `${path} has no handover in memory`, { hint: '--from names a dump' });
  }
  const source: ByteSource = {
    name: path,
    size: 2 ** 52,
    read: (address, into) => {
      memory.read(physicalAddress(address), into);
      return into.length;
    },
  };
  return writeBuilt(describeHandover(handover, memory), () => source, outputs);
}

/** Lays out a handover and writes it. Throws as `buildFromFile`. */
export function writeBuilt(
  description: KhoBuildDescription,
  open: Parameters<typeof buildHandover>[1],
  outputs: BuildOutputs,
  trace?: BuiltTrace,
): Answer {
  const { output, tree, directory } = outputs;
  if (output === undefined && tree === undefined && directory === undefined) {
    throw new ExhumeError('EXH_USAGE', 'name what is to be written', { hint: '-o FILE, --tree FILE, --directory DIR' });
  }
  if (output === '-' || tree === '-') throw new ExhumeError('EXH_USAGE', 'a handover is written to files alone');
  const built = buildHandover(description, open);
  if (output !== undefined) OutputFile.whole(output, (file) => built.image.writeElf(file, [built.note]));
  if (tree !== undefined) OutputFile.whole(tree, (file) => file.write(0, built.tree));
  if (directory !== undefined) writeDirectory(directory, built);
  const model = reportBuilt(built, outputs, trace);
  return { model, lines: () => khoBuiltText(model) };
}

/**
 * `exhume kho build --ftrace-from`: the handover that a kernel of the series of 2023/24 would make of the trace of the kernel in a
 * dump, with the memory that it names. Throws as `kernelFtrace`, `describeFtrace` and `writeBuilt`.
 */
export async function buildFromTrace(
  session: Session,
  path: string,
  { buffer, series, ...outputs }: BuildOutputs & { readonly buffer: string | undefined; readonly series: 'v2' | 'v3' },
): Promise<Answer> {
  const { subject } = await session.open([path], {});
  const { memory } = subject.container;
  const state = kernelFtrace(new KernelView(requireKernel(subject)), buffer === TOP ? undefined : buffer);
  const size = memory.ranges().at(-1)?.end ?? 0;
  const open = () => new MemoryStretch(memory, 0, size, path);
  return writeBuilt(describeFtrace(state, series, memory), open, outputs, state);
}

function writeDirectory(directory: string, { tree, blobs, image, scratch }: BuiltHandover): void {
  try {
    mkdirSync(join(directory, 'sub_fdts'), { recursive: true });
  } catch (error) {
    throw ioError(directory, 'create', error);
  }
  OutputFile.whole(join(directory, 'fdt'), (file) => file.write(0, tree));
  for (const { name, address, size } of blobs) {
    OutputFile.whole(join(directory, 'sub_fdts', name), (file) => file.write(0, image.bytes(address, size)));
  }
  const lines = (numbers: readonly number[]) =>
    new TextEncoder().encode(numbers.map((one) => `0x${one.toString(16)}\n`).join(''));
  OutputFile.whole(join(directory, 'scratch_phys'), (file) =>
    file.write(0, lines(scratch.map(({ address }) => address))),
  );
  OutputFile.whole(join(directory, 'scratch_len'), (file) => file.write(0, lines(scratch.map(({ size }) => size))));
}
