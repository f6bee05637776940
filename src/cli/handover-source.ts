import { statSync } from 'node:fs';
import { ExhumeError } from '../bytes/errors.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type { Target } from '../handover/check/target.js';
import type { Handover } from '../handover/model.js';
import { findHandovers, hasHandover } from '../handover/open.js';
import { isAbsence } from '../report/absence.js';
import { readHandoverFiles } from './handover-files.js';
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
}

/**
 * Opens whatever holds handovers: a tree or directory, with the memory of another dump when the options name one, or a
 * dump. Throws EXH_USAGE for a dump beside another one's memory and for other directories, and all that reading files and
 * opening a dump throw.
 */
export async function openHandovers(
  session: Session,
  path: string,
  { memory: dump, ...options }: HandoverOptions,
): Promise<OpenedHandovers> {
  const files = readHandoverFiles(path);
  if (files === undefined) {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
      throw new ExhumeError('EXH_USAGE', `${path}: a directory without fdt, in/fdt or out/fdt`, {
        hint: 'copy /sys/kernel/debug/kho as it is',
      });
    }
    if (dump !== undefined) {
      throw new ExhumeError('EXH_USAGE', `${path} is no tree nor a directory with one: it has memory of its own`, {
        hint: '--memory belongs to a tree or a directory',
      });
    }
    const { kernel, memory, ...kernelFacts } = await openMemory(session, path, options);
    return { handovers: findHandovers(memory, kernel), memory, ...kernelFacts };
  }
  if (dump === undefined) {
    return { handovers: files(undefined), memory: undefined, release: undefined, takesHandovers: true };
  }
  const { memory, release, takesHandovers } = await openMemory(session, dump, options);
  return { handovers: files(memory), memory, release, takesHandovers };
}

async function openMemory(session: Session, path: string, options: SharedOptions) {
  const { subject } = await session.open([path], options);
  const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
  return {
    memory: subject.container.memory,
    kernel,
    release: kernel?.release,
    takesHandovers: kernel === undefined || hasHandover(kernel),
  };
}
