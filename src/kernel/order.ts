import type { VirtualAddress } from '../bytes/address.js';
import { isExhumeError } from '../bytes/errors.js';
import type { EvidenceLog } from './evidence.js';
import type { Kernel, KernelRole } from './kernel.js';

const ROLES: readonly KernelRole[] = ['crashed', 'running', 'capture'];

/**
 * Memory survives a reset, and with it the kernel of an earlier boot, which may well have panicked. So the one whose
 * image is whole comes first, of several the one that ran last, and only then the crashed one; capture kernels last.
 */
export function inOrder(kernels: readonly Kernel[], log: EvidenceLog): readonly Kernel[] {
  if (kernels.length < 2) return kernels;
  const ranked = kernels.map((kernel) => ({
    kernel,
    capture: kernel.role === 'capture' ? 1 : 0,
    torn: isTorn(kernel) ? 1 : 0,
    seen: kernel.crashTime ?? sensible(kernel.stoppedTime),
    role: ROLES.indexOf(kernel.role),
  }));
  ranked.sort((a, b) => a.capture - b.capture || a.torn - b.torn || b.seen - a.seen || a.role - b.role);
  for (const { kernel, torn } of ranked) {
    if (torn === 0) continue;
    const detail = 'remains of an earlier boot: its image was written over';
    log.reject('kernel', 'where its last byte lies', kernel.release, detail);
  }
  return ranked.map(({ kernel }) => kernel);
}

/** Torn memory can hold any number; 2 ** 32 seconds after 1970 is in 2106. */
function sensible(time: number | undefined): number {
  return time !== undefined && time < 2 ** 32 ? time : 0;
}

/** An image is one piece of physical memory, from its first byte to its last. */
function isTorn({ symbols, memory }: Kernel): boolean {
  const start = symbols.address('_stext') ?? symbols.address('_text');
  const stop = symbols.address('__bss_stop');
  if (start === undefined || stop === undefined) return false;
  try {
    const first = memory.translate(start);
    const last = memory.translate((stop - 1n) as VirtualAddress);
    return first === undefined || last === undefined || BigInt(last - first) !== stop - 1n - start;
  } catch (error) {
    // A page of its tables that is not in the dump says nothing.
    if (isExhumeError(error)) return false;
    throw error;
  }
}
