import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type Damage, damageOf, ExhumeError, isExhumeError } from '../bytes/errors.js';
import type { WrittenNote } from '../dump/description.js';
import type { PhysicalMemory } from '../dump/memory.js';
import { isLiveMemory } from '../dump/node.js';
import type { Target } from '../handover/check/target.js';
import type { Handover } from '../handover/model.js';
import { fileHandovers, findHandovers, hasHandover, liveHandovers } from '../handover/open.js';
import type { SilentPlace } from '../handover/sources/told.js';
import type { Kernel } from '../kernel/kernel.js';
import { isAbsence } from '../report/absence.js';
import { readHandoverFiles, readLiveFiles } from './handover-files.js';
import type { Session, SharedOptions } from './session.js';

/** How handovers are opened. */
export interface HandoverOptions extends SharedOptions {
  /** A dump that has the memory which the addresses in a tree are of. */
  readonly memory?: string;
}

/** Handovers, and the machine and kernel in which they were found. */
export interface OpenedHandovers extends Target {
  readonly handovers: readonly Handover[];
  /** Undefined: files are all there is. */
  readonly memory: PhysicalMemory | undefined;
  /** The kernel in that memory. */
  readonly kernel: Kernel | undefined;
  /** Places that told of no handover, and why. */
  readonly silent: readonly SilentPlace[];
  /** What of the source could not be had. */
  readonly damage: readonly Damage[];
}

/**
 * Opens whatever holds handovers: a tree or directory, with the memory of another dump when the options name one, a
 * dump, or the running system as /proc/kcore. Throws EXH_USAGE for a dump beside another one's memory and for other
 * directories, and all that reading files and opening a dump throw.
 */
export async function openHandovers(
  session: Session,
  path: string,
  { memory: dump, ...options }: HandoverOptions,
): Promise<OpenedHandovers> {
  const live = isLiveMemory(path);
  const files = live ? undefined : readHandoverFiles(path);
  if (files !== undefined) {
    const machine = dump === undefined ? undefined : await openMachine(session, dump, options);
    return opened(fileHandovers(files, machine?.memory, machine?.kernel), machine, []);
  }
  if (dump !== undefined) {
    throw new ExhumeError('EXH_USAGE', `${path} is no tree nor a directory with one: it has memory of its own`, {
      hint: '--memory belongs to a tree or a directory',
    });
  }
  if (live) return openLive(session, path, options);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw new ExhumeError('EXH_USAGE', `${path}: a directory without fdt, in/fdt or out/fdt, or any other that tells`, {
      hint: 'copy /sys/kernel/debug/kho as it is',
    });
  }
  const machine = await openMachine(session, path, options);
  return opened({ handovers: findHandovers(machine.memory, machine.kernel, machine.notes), silent: [] }, machine, []);
}

/** Of the running system its files tell as well: also where its memory is refused. */
async function openLive(session: Session, path: string, options: SharedOptions): Promise<OpenedHandovers> {
  const files = readLiveFiles(join(path, '..', '..'));
  let machine: OpenedMachine | undefined;
  let refused: unknown;
  try {
    machine = await openMachine(session, path, options);
  } catch (error) {
    if (!isExhumeError(error) || files.told.length === 0) throw error;
    refused = error;
  }
  const found = liveHandovers(files, machine?.memory, machine?.kernel);
  return opened(found, machine, refused === undefined ? [] : [damageOf('memory', refused)]);
}

interface OpenedMachine {
  readonly memory: PhysicalMemory;
  readonly notes: readonly WrittenNote[];
  readonly kernel: Kernel | undefined;
}

async function openMachine(session: Session, path: string, options: SharedOptions): Promise<OpenedMachine> {
  const { subject } = await session.open([path], options);
  const { memory, notes } = subject.container;
  return { memory, notes, kernel: isAbsence(subject.kernel) ? undefined : subject.kernel };
}

function opened(
  found: Pick<OpenedHandovers, 'handovers' | 'silent'>,
  machine: OpenedMachine | undefined,
  damage: readonly Damage[],
): OpenedHandovers {
  const { memory, kernel } = machine ?? {};
  const takesHandovers = kernel === undefined || hasHandover(kernel);
  const imageSize = kernel && imageSizeOf(kernel);
  return { ...found, memory, kernel, release: kernel?.release, takesHandovers, imageSize, damage };
}

/** What kexec needs room for, at least: from `_text` to `_end`. */
function imageSizeOf({ symbols }: Kernel): number | undefined {
  const start = symbols.address('_text');
  const end = symbols.address('_end');
  return start === undefined || end === undefined || end < start ? undefined : Number(end - start);
}
