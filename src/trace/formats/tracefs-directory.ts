import { type Damage, damageOf } from '../../bytes/errors.js';
import type { EventFormat, Trace, TraceBuffer, TraceCpu, TraceField, TraceStatistics } from '../model.js';
import { rawPages } from '../ring/raw-pages.js';
import { type FileTree, subtree } from './file-tree.js';
import { parseFormatFile } from './format-file.js';
import { namesOfText } from './names-text.js';
import { traceFormats, USUAL_COMMON_FIELDS } from './trace-formats.js';

const LONGEST_FORMAT = 1 << 20;
/** kallsyms of a kernel with everything built in; saved_tgids of four million processes. */
const LONGEST_LIST = 256 << 20;
const LONGEST_LINE = 4096;
const MOST_EVENTS = 1 << 16;
/** A sub-buffer is at most this large: `buffer_subbuf_size_kb` takes no more. */
const LARGEST_SUB_BUFFER = 1 << 20;
const USUAL_SUB_BUFFER = 4096;

/** Folders in which a copy of tracefs may lie: itself, or one below what was named. */
const SIGNS = ['events', 'per_cpu', 'saved_cmdlines', 'printk_formats'];

/**
 * A copy of tracefs as a trace: formats out of `events/`, names out of `saved_cmdlines`, `saved_tgids`, `printk_formats` and a
 * copy of `/proc/kallsyms` named `kallsyms`, events out of copies of `per_cpu/cpuN/trace_pipe_raw` (and `snapshot_raw`) of the
 * top level and of `instances/`. Whatever is missing is not told. Undefined where there is nothing of tracefs.
 */
export function readTracefs(files: FileTree): Trace | undefined {
  const tree = rootOf(files);
  if (tree === undefined) return undefined;
  const damage: Damage[] = [];
  const header = headerPage(tree);
  const { common, formats } = readFormats(tree, damage);
  const list = (path: string) => tree.text(path, LONGEST_LIST);
  return {
    source: 'copy of tracefs',
    release: releaseOf(tree),
    littleEndian: true,
    longSize: header.longSize,
    onlineCpus: onlineCpus(tree),
    formats: traceFormats(common, formats),
    names: namesOfText({
      kallsyms: list('kallsyms'),
      printkFormats: list('printk_formats'),
      cmdlines: list('saved_cmdlines'),
      threadGroups: list('saved_tgids'),
    }),
    buffers: [
      ...buffersOf(tree, undefined, header.size),
      ...[...tree.list('instances')]
        .sort()
        .flatMap((name) => buffersOf(subtree(tree, `instances/${name}`), name, header.size)),
    ],
    clocks: undefined,
    damage,
  };
}

function rootOf(files: FileTree): FileTree | undefined {
  const isRoot = (names: readonly string[]) => SIGNS.some((sign) => names.includes(sign));
  const top = files.list('');
  if (isRoot(top)) return files;
  const folder = top.find((name) => isRoot(files.list(name)));
  return folder === undefined ? undefined : subtree(files, folder);
}

function readFormats(tree: FileTree, damage: Damage[]): { common: readonly TraceField[]; formats: EventFormat[] } {
  const formats: EventFormat[] = [];
  let common: readonly TraceField[] = USUAL_COMMON_FIELDS;
  for (const system of [...tree.list('events')].sort()) {
    for (const name of tree.list(`events/${system}`)) {
      const text = tree.text(`events/${system}/${name}/format`, LONGEST_FORMAT);
      if (text === undefined || formats.length >= MOST_EVENTS) continue;
      try {
        const file = parseFormatFile(text, system);
        formats.push(file.format);
        if (file.common.length > 0) common = file.common;
      } catch (error) {
        damage.push(damageOf(`events/${system}/${name}/format`, error));
      }
    }
  }
  return { common, formats };
}

/** `events/header_page`: how large a sub-buffer is, in bytes, and how large a long of the traced machine. */
function headerPage(tree: FileTree): { readonly size: number; readonly longSize: 4 | 8 } {
  const text = tree.text('events/header_page', LONGEST_LINE) ?? '';
  const [, commit] = /local_t commit;\s*offset:\d+;\s*size:(\d+)/.exec(text) ?? [];
  const [, offset, data] = /char data;\s*offset:(\d+);\s*size:(\d+)/.exec(text) ?? [];
  const size = Number(offset) + Number(data);
  return { size: isSize(size) ? size : USUAL_SUB_BUFFER, longSize: commit === '4' ? 4 : 8 };
}

function isSize(size: number): boolean {
  return Number.isSafeInteger(size) && size > 16 && size <= LARGEST_SUB_BUFFER;
}

/** `release`, as `uname -r` tells it, or the third word of `/proc/version`. */
function releaseOf(tree: FileTree): string | undefined {
  const version = tree.text('version', LONGEST_LINE) ?? '';
  return firstLine(tree.text('release', LONGEST_LINE)) ?? /^Linux version (\S+)/.exec(version)?.[1];
}

/** The text's header tells: `entries-in-buffer/entries-written: 3/3   #P:2`. */
function onlineCpus(tree: FileTree): number | undefined {
  const [, count] = /#P:(\d+)/.exec(tree.text('trace', LONGEST_LINE) ?? '') ?? [];
  return count === undefined ? undefined : Number(count);
}

/** The buffer in a folder, and its snapshot, as far as there are events of them. */
function buffersOf(tree: FileTree, instance: string | undefined, usual: number): TraceBuffer[] {
  const kilobytes = Number(firstLine(tree.text('buffer_subbuf_size_kb', LONGEST_LINE)) ?? Number.NaN);
  const size = isSize(kilobytes * 1024) ? kilobytes * 1024 : usual;
  const tracingOn = firstLine(tree.text('tracing_on', LONGEST_LINE));
  const common = {
    instance,
    persistent: false,
    tracer: firstLine(tree.text('current_tracer', LONGEST_LINE)) ?? 'nop',
    clock: /\[(\S+)\]/.exec(tree.text('trace_clock', LONGEST_LINE) ?? '')?.[1] ?? 'local',
    options: optionsOf(tree),
    timeStart: undefined,
    recording: tracingOn === undefined ? undefined : tracingOn !== '0',
  };
  const buffers: TraceBuffer[] = [];
  for (const snapshot of [false, true]) {
    const damage: Damage[] = [];
    const cpus = cpusOf(tree, snapshot, size, damage);
    if (cpus.length > 0) buffers.push({ ...common, snapshot, cpus, damage });
  }
  return buffers;
}

function cpusOf(tree: FileTree, snapshot: boolean, size: number, damage: Damage[]): TraceCpu[] {
  const cpus: TraceCpu[] = [];
  for (const name of tree.list('per_cpu')) {
    const cpu = Number(/^cpu(\d{1,5})$/.exec(name)?.[1] ?? Number.NaN);
    const source = tree.open(`per_cpu/${name}/${snapshot ? 'snapshot_raw' : 'trace_pipe_raw'}`);
    if (Number.isNaN(cpu) || source === undefined || (snapshot && source.size === 0)) continue;
    if (source.size % size !== 0) {
      const message = `${source.name}: ${source.size} bytes are no whole number of sub-buffers of ${size}`;
      damage.push({ code: 'EXH_TRUNCATED', part: `CPU ${cpu}`, message });
    }
    const statistics = snapshot ? undefined : statisticsOf(tree.text(`per_cpu/${name}/stats`, LONGEST_LINE));
    cpus.push({ cpu, statistics, subBuffers: () => rawPages(source, size, true) });
  }
  return cpus.sort((one, other) => one.cpu - other.cpu);
}

/** `per_cpu/cpuN/stats` */
function statisticsOf(text: string | undefined): TraceStatistics | undefined {
  if (text === undefined) return undefined;
  const count = (name: string): number => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  return {
    entries: count('entries'),
    overrun: count('overrun'),
    commitOverrun: count('commit overrun'),
    droppedEvents: count('dropped events'),
    readEvents: count('read events'),
    bytes: count('bytes'),
  };
}

/** Options that are set: the lines of `trace_options`, where `no` stands before the others; else a file of each in `options/`. */
function optionsOf(tree: FileTree): ReadonlySet<string> | undefined {
  const lines = tree.text('trace_options', LONGEST_LINE)?.split('\n');
  if (lines !== undefined) return new Set(lines.filter((line) => line !== '' && !line.startsWith('no')));
  const names = tree.list('options');
  if (names.length === 0) return undefined;
  return new Set(names.filter((name) => firstLine(tree.text(`options/${name}`, LONGEST_LINE)) === '1'));
}

function firstLine(text: string | undefined): string | undefined {
  const line = text?.split('\n', 1)[0]?.trim();
  return line === '' ? undefined : line;
}
