import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { readUpTo } from '../bytes/byte-source.js';
import { type Damage, ExhumeError } from '../bytes/errors.js';
import { FileSource } from '../bytes/node.js';
import { viewOf } from '../bytes/struct-table.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type { Handover } from '../handover/model.js';
import { findHandovers } from '../handover/open.js';
import { KernelView } from '../kernel/kernel-view.js';
import { parseRecordName } from '../pstore/name.js';
import { isAbsence } from '../report/absence.js';
import { requireKernel, type Subject } from '../report/subject.js';
import { isTraceDat, readTraceDat } from '../trace/files/trace-dat-read.js';
import { directoryTree } from '../trace/formats/node/directory-tree.js';
import { tarTree } from '../trace/formats/tar-tree.js';
import { readTracefs } from '../trace/formats/tracefs-directory.js';
import { readVmlinuz } from '../trace/formats/vmlinuz.js';
import { reservedBuffers } from '../trace/handover/reserved-buffers.js';
import { openKernelTrace } from '../trace/kernel-trace.js';
import type { Trace } from '../trace/model.js';
import { type NamedKernel, openPersistentTrace, persistentTraceOf, withFormatsOf } from '../trace/open.js';
import { pstoreCalls, pstoreTrace } from '../trace/pstore-ftrace.js';
import { isPersistentBuffer } from '../trace/ring/persistent-layout.js';
import { type FoundBuffer, findPersistentBuffers } from '../trace/ring/persistent-search.js';
import type { TraceCommandOptions } from './commands/trace.js';
import { readHandoverFiles } from './handover-files.js';
import { openHandovers } from './handover-source.js';
import { openFiles } from './open.js';
import { recordsOf } from './pstore.js';
import type { Session } from './session.js';
import { traceOfHandovers, unlessUntold } from './trace-handover.js';

/** A trace, and what was found broken on the way to it. */
export interface OpenTrace {
  readonly trace: Trace;
  readonly damage: readonly Damage[];
}

/** Opens whatever holds a trace. Throws EXH_NOT_A_DUMP and all that opening a dump does. */
export async function openTrace(session: Session, path: string, options: TraceCommandOptions): Promise<OpenTrace> {
  const opened = await openAny(session, path, options);
  const { formats } = options;
  return formats === undefined ? opened : { ...opened, trace: withFormatsOf(opened.trace, namedKernel(formats)) };
}

async function openAny(session: Session, path: string, options: TraceCommandOptions): Promise<OpenTrace> {
  const { handover = false, persistent = false, memory } = options;
  if (isHandoverFile(path)) return openHandedOver(session, path, options);
  const file = options.rawMemory || options.ranges !== undefined ? undefined : openTraceFile(path);
  if (file !== undefined) {
    if (handover || memory !== undefined) throw usage(`${path} is a trace by itself: no handover, and needs no memory`);
    return { trace: file, damage: [] };
  }
  if (handover || memory !== undefined) return openHandedOver(session, path, options);
  const { subject } = await session.open([path], options);
  return { trace: traceOf(subject, persistent, options.formats !== undefined), damage: subject.container.damage };
}

function isHandoverFile(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !(stat.isFile() || stat.isDirectory())) return false;
  return (readHandoverFiles(path)?.told.length ?? 0) > 0;
}

/** The trace that a handover brings: one in files, or in a dump. Throws EXH_BAD_STRUCTURE when there is none. */
async function openHandedOver(session: Session, path: string, options: TraceCommandOptions): Promise<OpenTrace> {
  const { handovers, memory, kernel, damage } = await openHandovers(session, path, options);
  if (memory === undefined) {
    throw usage(`${path} tells where a trace is, and has no memory`, '--memory names a dump that has it');
  }
  const trace = traceOfHandovers(handovers, memory);
  if (trace === undefined)
    throw new ExhumeError('EXH_BAD_STRUCTURE', `${path}: no kexec handover in it brings a trace`);
  if (kernel === undefined || options.formats !== undefined) return { trace, damage };
  // Most likely the other kernel is the same.
  const live = unlessUntold(() => openKernelTrace(new KernelView(kernel)));
  return { trace: live === undefined ? trace : withFormatsOf(trace, live), damage };
}

function usage(message: string, hint = ''): ExhumeError {
  return new ExhumeError('EXH_USAGE', message, hint === '' ? {} : { hint });
}

/**
 * What is a trace by itself: a file, or a copy of tracefs in a directory or an archive. Undefined for others, and for what
 * cannot be opened: that is told as for any dump.
 */
function openTraceFile(path: string): Trace | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() === true) return readTracefs(directoryTree(path)) ?? openPstore(path);
  if (stat?.isFile() !== true) return undefined;
  if (parseRecordName(basename(path))?.type === 'ftrace') return openPstore(path);
  const source = FileSource.open(path);
  if (isTraceDat(source)) return readTraceDat(source);
  if (isPersistentBuffer(source)) return openPersistentTrace(source);
  const archive = tarTree(source);
  if (archive !== undefined) return readTracefs(archive);
  source.close();
  return undefined;
}

/** The ftrace records among pstore's; undefined where there are none. */
function openPstore(path: string): Trace | undefined {
  const records = recordsOf([path])?.filter(({ type }) => type === 'ftrace') ?? [];
  if (records.length === 0) return undefined;
  return pstoreTrace(records.flatMap(({ text }) => pstoreCalls(text)));
}

/**
 * Of the kernel in a dump. Without one that tells of its buffers what a handover brings, else, or when asked to, persistent
 * ring buffers anywhere in its memory.
 * @param formats of another source are asked for
 */
function traceOf(subject: Subject, search: boolean, formats: boolean): Trace {
  const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
  const { memory, notes } = subject.container;
  const view = (): Trace & NamedKernel => openKernelTrace(new KernelView(requireKernel(subject)));
  const live = kernel === undefined ? undefined : unlessUntold(view);
  if (live !== undefined && !search) return live;
  const handovers = findHandovers(memory, kernel, notes);
  const handed = live === undefined && !search ? traceOfHandovers(handovers, memory) : undefined;
  if (handed !== undefined) return handed;
  const found = persistentTraceOf(everyBuffer(memory, handovers));
  if (found.buffers.length === 0) {
    if (live === undefined) view();
    throw new ExhumeError('EXH_BAD_STRUCTURE', 'there is no persistent ring buffer in this memory');
  }
  // Most likely the kernel that was started next is the same.
  return live === undefined || formats ? found : withFormatsOf(found, live);
}

/** Those in memory that a handover names first, then all others. */
function* everyBuffer(memory: PhysicalMemory, handovers: readonly Handover[]): Generator<FoundBuffer> {
  const named = [...reservedBuffers(handovers, memory)];
  yield* named;
  for (const found of findPersistentBuffers(memory)) {
    if (!named.some(({ address }) => address === found.address)) yield found;
  }
}

/** Where the formats and names of another trace are to come from. */
function namedKernel(path: string): NamedKernel {
  const trace = openTraceFile(path);
  if (trace !== undefined) return trace;
  const image = openImage(path);
  if (image !== undefined) return image;
  const { subject } = openFiles([path], {});
  return openKernelTrace(new KernelView(requireKernel(subject)));
}

/** `HdrS`, in the header of a kernel that a boot loader starts. */
const BOOT_MAGIC = 0x53726448;
const ELF_MAGIC = 0x464c457f;
const ET_CORE = 4;

/** A kernel's image, which is neither a core nor anything else that a dump is; undefined for others. */
function openImage(path: string): NamedKernel | undefined {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  const source = FileSource.open(path);
  const head = readUpTo(source, 0, 0x206);
  const view = viewOf(head);
  const boots = head.length === 0x206 && view.getUint32(0x202, true) === BOOT_MAGIC;
  const runs = head.length === 0x206 && view.getUint32(0, true) === ELF_MAGIC && view.getUint16(16, true) !== ET_CORE;
  if (!boots && !runs) {
    source.close();
    return undefined;
  }
  // As it is linked: what ran elsewhere tells where.
  return readVmlinuz(source);
}
