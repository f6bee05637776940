import { type ErrorCode, ExhumeError } from '../bytes/errors.js';
import type { Container } from '../dump/container.js';
import type { Kernel } from '../kernel/kernel.js';
import { type KernelSearch, openKernels, selectKernel } from '../kernel/open.js';
import type { Machine } from '../machine/machine.js';
import { openMachine } from '../machine/open.js';
import { absence, isAbsence } from './absence.js';
import type { Absence } from './schema/common.js';

/**
 * What a command looks at: a file, opened as far as it can be.
 * A machine or kernel that cannot be had is an Absence, and everything that does not need it is still answered.
 */
export interface Subject {
  readonly container: Container;
  readonly machine: Machine | Absence;
  /** Every kernel in the memory, the default one first, and how they were looked for. */
  readonly search: KernelSearch;
  /** The one that the answers are about. */
  readonly kernel: Kernel | Absence;
}

/**
 * Opens the machine and the kernels in a container.
 * @param index which kernel; by default the one that crashed. Throws EXH_USAGE when there is no such one.
 */
export function openSubject(container: Container, index?: number): Subject {
  const machine = openMachineIn(container);
  if (isAbsence(machine)) return { container, machine, search: { kernels: [], evidence: [] }, kernel: machine };
  const search = openKernels(machine);
  const kernel = search.kernels[index ?? 0];
  if (kernel === undefined && index !== undefined) {
    const count = search.kernels.length;
    throw new ExhumeError('EXH_USAGE', `there is no kernel ${index} in this dump: it holds ${count}, counted from 0`, {
      found: index,
      expected: count,
    });
  }
  return { container, machine, search, kernel: kernel ?? NO_KERNEL };
}

const NO_KERNEL: Absence = {
  absent: 'no Linux kernel was found in this memory',
  code: 'EXH_NO_KERNEL',
  hint: 'the evidence shows what was tried; the machine may have been in its firmware or boot loader',
};

function openMachineIn(container: Container): Machine | Absence {
  try {
    return openMachine(container);
  } catch (error) {
    if (error instanceof ExhumeError) return absence(error);
    throw error;
  }
}

/** The machine, for answers that are nothing without it. Throws EXH_UNKNOWN_ARCHITECTURE. */
export function requireMachine({ machine }: Subject): Machine {
  if (isAbsence(machine)) throw asError(machine, 'EXH_UNKNOWN_ARCHITECTURE');
  return machine;
}

/** The kernel, for answers that are nothing without it. Throws EXH_NO_KERNEL with all that was tried. */
export function requireKernel(subject: Subject): Kernel {
  requireMachine(subject);
  return isAbsence(subject.kernel) ? selectKernel(subject.search) : subject.kernel;
}

function asError({ absent, code, hint }: Absence, otherwise: ErrorCode): ExhumeError {
  return new ExhumeError(code ?? otherwise, absent, hint === null ? {} : { hint });
}
