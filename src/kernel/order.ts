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

/** Large pages of the kernel map: what was written over of an image is at least one of them. */
const LARGE_PAGE = 1n << 21n;
/** No image is larger. */
const LARGEST_IMAGE = 1n << 30n;

/** An image is one piece of physical memory, from its first byte to its last; parts that the kernel itself gave up are not mapped. */
function isTorn({ symbols, memory }: Kernel): boolean {
  const start = symbols.address('_stext') ?? symbols.address('_text');
  const stop = symbols.address('__bss_stop');
  if (start === undefined || stop === undefined || stop - start > LARGEST_IMAGE) return false;
  try {
    const first = memory.translate(start);
    const last = stop - 1n;
    if (first === undefined || memory.translate(last as VirtualAddress) === undefined) return true;
    for (let at: bigint = start; at <= last; at = at === last || at + LARGE_PAGE < last ? at + LARGE_PAGE : last) {
      const here = memory.translate(at as VirtualAddress);
      if (here !== undefined && BigInt(here - first) !== at - start) return true;
    }
    return false;
  } catch (error) {
    // A page of its tables that is not in the dump says nothing.
    if (isExhumeError(error)) return false;
    throw error;
  }
}
