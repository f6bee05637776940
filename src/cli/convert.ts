import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { addAbortSignal } from 'node:stream';
import { ExhumeError } from '../bytes/errors.js';
import { abortOutputs } from '../bytes/node/output-file.js';
import type { CompressionMethod } from '../codecs/codec.js';
import { describeDump } from '../convert/describe.js';
import { classDecider } from '../convert/exclusion.js';
import { convert } from '../convert/node/conversion.js';
import { type Crew, SingleCrew, ThreadCrew } from '../convert/node/crew.js';
import { fixOnly } from '../convert/node/fix-only.js';
import type { SharedInput } from '../convert/node/messages.js';
import { PIPE } from '../convert/node/output.js';
import { openShared } from '../convert/node/shared-input.js';
import { spool } from '../convert/node/spool.js';
import type { OutputFormat } from '../convert/outcome.js';
import type { ProgressListener } from '../convert/progress.js';
import { scrubUser } from '../convert/scrub.js';
import { inputPages } from '../convert/selection.js';
import type { Container } from '../dump/container.js';
import type { PhysicalMemory } from '../dump/memory.js';
import { withNotes } from '../dump/with-notes.js';
import { layoutOf } from '../hypervisor/guest-layout.js';
import { selectGuest } from '../hypervisor/select.js';
import { isAbsence } from '../report/absence.js';
import { buildConvert } from '../report/convert.js';
import { keptPages } from '../report/keep.js';
import { openSubject, requireKernel, requireMachine } from '../report/subject.js';
import { convertText } from '../report/text/convert.js';
import type { ConvertCommandOptions } from './commands/convert.js';
import { openingOf, openSources } from './open.js';
import { progressTeller } from './progress.js';
import type { Answer, Session } from './session.js';
import { EXIT } from './status.js';
import { notesFromFile, notesOfOption } from './vmcsinfo.js';

/** What this thread keeps of a dump that came through a pipe, in bytes. */
const MAIN_CACHE = 16 * 1024 * 1024;

/** `exhume convert`, once it is clear that it is wanted. */
export async function runConvert(
  session: Session,
  files: readonly string[],
  options: ConvertCommandOptions,
): Promise<void> {
  const output = files.at(-1);
  // The dump takes standard output.
  const stream = output === PIPE ? 'stderr' : 'stdout';
  await session.answer(options, () => converted(session, files, options), stream);
}

async function converted(session: Session, files: readonly string[], options: ConvertCommandOptions): Promise<Answer> {
  const [output, ...inputs] = [files.at(-1) as string, ...files.slice(0, -1), ...(options.part ?? [])];
  if (inputs.length === 0) {
    throw new ExhumeError('EXH_USAGE', 'name the dump, and then the file to write', {
      hint: 'exhume convert vmcore vmcore.kdump',
    });
  }
  const format = formatOf(output, options);
  let pageSize = 4096;
  const style = options.progress === 'auto' ? (process.stderr.isTTY ? 'text' : 'none') : options.progress;
  const progress = progressTeller(session.surroundings.stderr, style, () => pageSize);
  let crew: Crew | undefined;
  const interruption = new Interruption(async () => crew?.close());
  try {
    const { signal } = interruption;
    const input = guestOf(await openInput(inputs, output, options, progress.listener, signal), options);
    const { container } = input;
    pageSize = container.memory.pageSize;
    if (options.reassemble && container.files.length < 2) {
      throw new ExhumeError('EXH_USAGE', 'there is nothing to reassemble: it is one file', {
        hint: 'name all files of the split dump, and then the file to write',
      });
    }
    const method = methodOf(container, format, options);
    if (options.fixOnly) return await fixed(input, output, options);
    const jobs = options.jobs ?? jobsFor(container);
    crew = jobs === 1 ? new SingleCrew(container.memory) : new ThreadCrew(withLayout(input), jobs);
    const subject = openSubject(container, options.kernel);
    const scrub = options.scrub === undefined ? undefined : scrubUser(requireKernel(subject));
    const level = levelOf(options) | (scrub?.classes ?? 0);
    requireMachine(subject);
    const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
    const described = describeDump(withAddedNote(container, options.addNote), kernel, level);
    const outcome = await convert({
      memory: container.memory,
      verify: container.format === 'kdump' && (container.incomplete || output === PIPE),
      crew,
      jobs,
      exclusion: {
        zero: (level & 1) === 0 ? 'keep' : format === 'elf' ? 'drop' : options.dryRun ? 'count' : 'keep',
        classes: classDecider(level, () => requireKernel(subject)),
        keep: options.keep === undefined ? undefined : keptPages(subject),
        scrubbed: scrub?.pages,
      },
      settings: {
        method,
        level: options.level,
        passThrough: container.format === 'kdump' && container.compression === method && options.level === undefined,
        blank: scrub?.blank ?? new Float64Array(),
      },
      output: { name: output, format, compression: method, split: options.split ?? 1 },
      memoryEnd: format === 'kdump' || format === 'flattened' ? described.memoryEnd : undefined,
      description: described.description,
      dryRun: options.dryRun ?? false,
      listener: progress.listener,
      signal,
    });
    const model = buildConvert(subject, input.bytes, described, outcome, scrub);
    return { model, lines: () => convertText(model) };
  } finally {
    progress.done();
    await crew?.close();
    interruption.over();
  }
}

/** The options that say something about pages. */
const ABOUT_PAGES = [
  'format',
  'compress',
  'level',
  'exclude',
  'dumpLevel',
  'keep',
  'scrub',
  'dryRun',
  'addNote',
  'split',
  'reassemble',
] as const;

/** What threads are given: with it where a guest's pages are. */
function withLayout({ host, container, shared }: OpenedInput): SharedInput {
  const layout = host && layoutOf(container.memory, host);
  return layout === undefined ? shared : { ...shared, layout };
}

/** The input as it is, or the guest in it that the options name. Throws where nothing of its memory is there. */
function guestOf(input: OpenedInput, options: ConvertCommandOptions): OpenedInput {
  const { guest } = options;
  if (guest === undefined) return input;
  const notes = notesOfOption(input.container, options.vmcsinfo);
  const found = selectGuest(withNotes(input.container, notes), guest);
  const container = found.container();
  if (found.withoutMemory !== undefined) {
    const { code, message } = found.withoutMemory;
    throw new ExhumeError(code, `the guest ${found.name}: ${message}`, {
      guest,
      hint: `a dump without memory opens in no tool; exhume regs --guest ${guest} shows the registers`,
    });
  }
  return { ...input, container, host: input.container.memory, shared: { ...input.shared, guest, notes } };
}

/** `--add-note`: the dump with the notes of a file. Throws EXH_USAGE for notes that a conversion makes itself. */
function withAddedNote(container: Container, path: string | undefined): Container {
  if (path === undefined) return container;
  const notes = notesFromFile(path);
  const own = notes.find(({ name }) => OWN_NOTES.has(name));
  if (own !== undefined) {
    throw new ExhumeError('EXH_USAGE', `${path}: a note called ${own.name} is made by convert itself`, {
      hint: '--add-note is for others, such as VMCSINFO',
    });
  }
  return withNotes(container, notes);
}

const OWN_NOTES = new Set(['CORE', 'QEMU', 'VMCOREINFO']);

/** `--fix-only`: a copy with another header. */
async function fixed(input: OpenedInput, output: string, options: ConvertCommandOptions): Promise<Answer> {
  const { container, shared, bytes } = input;
  const useless = ABOUT_PAGES.find((name) => options[name] !== undefined);
  const [file, ...others] = shared.files;
  const { format } = container;
  const several = file === undefined || others.length > 0;
  if (useless !== undefined || several || output === PIPE || input.piped || format === 'guest') {
    throw new ExhumeError('EXH_USAGE', '--fix-only copies one file to another as it is: only its header changes', {
      hint: 'without --fix-only all can be changed',
    });
  }
  const start = performance.now();
  const subject = openSubject(container, options.kernel);
  requireMachine(subject);
  const described = describeDump(container, isAbsence(subject.kernel) ? undefined : subject.kernel);
  await fixOnly(file.name, output, described);
  const { described: pages, written, excluded, lost } = inputPages(container.memory);
  const model = buildConvert(subject, bytes, described, {
    dryRun: false,
    format,
    compression: container.compression,
    files: [{ name: output, bytes: statSync(output).size }],
    pageSize: container.memory.pageSize,
    pages: {
      described: pages.count(),
      written: written.count(),
      zero: 0,
      excludedBefore: excluded,
      excluded: new Map(),
      unknown: 0,
      lost,
    },
    seconds: (performance.now() - start) / 1000,
    jobs: 1,
  });
  return { model, lines: () => convertText(model) };
}

interface OpenedInput {
  /** It came from standard input. */
  readonly piped: boolean;
  readonly container: Container;
  /** The memory that this is the memory of a guest in. */
  readonly host?: PhysicalMemory;
  readonly shared: SharedInput;
  /** Sizes of the files together. */
  readonly bytes: number;
}

async function openInput(
  inputs: readonly string[],
  output: string,
  options: ConvertCommandOptions,
  listener: ProgressListener,
  signal: AbortSignal,
): Promise<OpenedInput> {
  if (!inputs.includes(PIPE)) {
    const { container, sources, opening } = openSources(inputs, options);
    const files = sources.map(({ name, descriptor, special }) => ({ name, descriptor, special }));
    const shared = { files, ...opening, ...(container.live && { live: true }) };
    return {
      piped: false,
      container,
      shared,
      bytes: container.live ? 0 : sources.reduce((sum, { size }) => sum + size, 0),
    };
  }
  if (inputs.length > 1) {
    throw new ExhumeError('EXH_USAGE', 'only one dump comes from standard input', {
      hint: 'a split dump is opened from its files',
    });
  }
  const { file, extents } = await spool(addAbortSignal(signal, process.stdin), output, listener, signal);
  const { name, descriptor, size } = file;
  const shared = { files: [{ name, descriptor, special: false, ...(extents && { extents }) }], ...openingOf(options) };
  return { piped: true, container: openShared(shared, MAIN_CACHE), shared, bytes: size };
}

/** What is written: the flattened form is what goes down a pipe. */
function formatOf(output: string, { format, compress, split, level }: ConvertCommandOptions): OutputFormat {
  const written = format ?? (output === PIPE ? 'flattened' : 'kdump');
  const refuse = (message: string, hint: string): never => {
    throw new ExhumeError('EXH_USAGE', message, { hint });
  };
  if (written === 'raw' && output === PIPE) refuse('a raw image cannot go to a pipe', 'write it to a file');
  if (split !== undefined && written !== 'kdump') refuse('only kdump files are split', '--format kdump');
  if (split !== undefined && output === PIPE) refuse('several files cannot go to a pipe', 'name a file');
  if (written === 'elf' || written === 'raw') {
    if (compress !== undefined && compress !== 'none') refuse(`${written} is not compressed`, '--format kdump');
    if (level !== undefined) refuse(`${written} has no level of compression`, '--format kdump');
  }
  return written;
}

function methodOf(
  container: Container,
  format: OutputFormat,
  { compress }: ConvertCommandOptions,
): CompressionMethod | undefined {
  if (format === 'elf' || format === 'raw' || compress === 'none') return undefined;
  if (compress !== undefined) return compress === 'lzo' ? 'lzo1x' : compress;
  return container.compression ?? 'zlib';
}

/** Starting a thread takes as long as packing some MiB. */
const BYTES_PER_JOB = 32 * 1024 * 1024;
/** For a guest it has to be found once more by every thread. */
const GUEST_BYTES_PER_JOB = 512 * 1024 * 1024;

function jobsFor(container: Container): number {
  const unit = container.format === 'guest' ? GUEST_BYTES_PER_JOB : BYTES_PER_JOB;
  const worth = Math.ceil(container.memory.presentBytes() / unit);
  return Math.max(1, Math.min(availableParallelism(), worth));
}

/** The bits of makedumpfile's -d. */
const CLASSES: ReadonlyMap<string, number> = new Map([
  ['zero', 1],
  ['cache', 2],
  // makedumpfile drops all cache with it.
  ['private', 4 | 2],
  ['user', 8],
  ['free', 16],
]);

function levelOf({ exclude, dumpLevel = 0 }: ConvertCommandOptions): number {
  let level = dumpLevel;
  for (const name of (exclude ?? '').split(',').filter((one) => one !== '')) {
    const bits = CLASSES.get(name);
    if (bits === undefined) {
      throw new ExhumeError('EXH_USAGE', `${name} is no class of pages`, { hint: [...CLASSES.keys()].join(', ') });
    }
    level |= bits;
  }
  return (level & 4) !== 0 ? level | 2 : level;
}

/** SIGINT and SIGTERM, as something that ends a conversion in order. */
class Interruption {
  private readonly controller = new AbortController();
  private readonly listeners = (['SIGINT', 'SIGTERM'] as const).map((name) => {
    const listener = (): void => {
      // Whoever asks twice will not wait, but for threads that are at a task: to end the process under them could abort it.
      if (this.signal.aborted) {
        abortOutputs();
        void this.rest().finally(() => process.exit(EXIT.failed));
        return;
      }
      this.controller.abort(
        new ExhumeError('EXH_INTERRUPTED', `ended by ${name}: nothing was written`, { signal: name }),
      );
    };
    process.on(name, listener);
    return [name, listener] as const;
  });

  /** @param rest ends what runs beside this thread */
  constructor(private readonly rest: () => Promise<void>) {}

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  over(): void {
    for (const [name, listener] of this.listeners) process.off(name, listener);
  }
}
