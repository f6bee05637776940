import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { readUpTo } from '../bytes/byte-source.js';
import { type Damage, ExhumeError } from '../bytes/errors.js';
import { FileSource } from '../bytes/node.js';
import { viewOf } from '../bytes/struct-table.js';
import { KernelView } from '../kernel/kernel-view.js';
import { parseRecordName } from '../pstore/name.js';
import { isAbsence } from '../report/absence.js';
import { requireKernel, type Subject } from '../report/subject.js';
import { isTraceDat, readTraceDat } from '../trace/files/trace-dat-read.js';
import { directoryTree } from '../trace/formats/node/directory-tree.js';
import { tarTree } from '../trace/formats/tar-tree.js';
import { readTracefs } from '../trace/formats/tracefs-directory.js';
import { readVmlinuz } from '../trace/formats/vmlinuz.js';
import { openKernelTrace } from '../trace/kernel-trace.js';
import type { Trace } from '../trace/model.js';
import { type NamedKernel, openPersistentTrace, persistentTraceOf, withFormatsOf } from '../trace/open.js';
import { pstoreCalls, pstoreTrace } from '../trace/pstore-ftrace.js';
import { isPersistentBuffer } from '../trace/ring/persistent-layout.js';
import { findPersistentBuffers } from '../trace/ring/persistent-search.js';
import type { TraceCommandOptions } from './commands/trace.js';
import { openFiles } from './open.js';
import { recordsOf } from './pstore.js';
import type { Session } from './session.js';

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
  const file = options.rawMemory || options.ranges !== undefined ? undefined : openTraceFile(path);
  if (file !== undefined) return { trace: file, damage: [] };
  const { subject } = await session.open([path], options);
  const damage = subject.container.damage;
  return { trace: traceOf(subject, options.persistent ?? false), damage };
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

/** Of the kernel in a dump; without one, or when asked to, persistent ring buffers anywhere in its memory. */
function traceOf(subject: Subject, search: boolean): Trace {
  const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
  const live = kernel === undefined ? undefined : () => openKernelTrace(new KernelView(kernel));
  if (live !== undefined && !search) return live();
  const found = persistentTraceOf(findPersistentBuffers(subject.container.memory));
  if (found.buffers.length === 0) {
    requireKernel(subject);
    throw new ExhumeError('EXH_BAD_STRUCTURE', 'there is no persistent ring buffer in this memory');
  }
  // Most likely the kernel that was started next is the same.
  return live === undefined ? found : withFormatsOf(found, live());
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
