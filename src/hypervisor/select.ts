import { ExhumeError } from '../bytes/errors.js';
import type { Container } from '../dump/container.js';
import { attempt } from '../kernel/collect.js';
import { KernelView } from '../kernel/kernel-view.js';
import { openKernels } from '../kernel/open.js';
import { openMachine } from '../machine/open.js';
import { chooseGuest, listed } from './choose.js';
import { findGuests, type Host } from './find.js';
import type { Guest } from './guest.js';
import { HostSwap } from './kvm/host-swap.js';
import type { SwapReader } from './kvm/slot-memory.js';

/** A dump as a host: the machine in it and its first kernel, as far as they can be had. */
export function hostIn(container: Container): Host {
  try {
    const machine = openMachine(container);
    return { container, machine, kernel: openKernels(machine).kernels[0] };
  } catch (error) {
    if (!(error instanceof ExhumeError)) throw error;
    return { container, machine: undefined, kernel: undefined };
  }
}

/** The swap of the kernel in a dump; undefined without a kernel, or without its types. */
export function hostSwapIn(container: Container): SwapReader | undefined {
  const { kernel } = hostIn(container);
  return kernel && attempt([], 'swap', () => new HostSwap(new KernelView(kernel)));
}

/**
 * The guest of this name, index, pid or UUID in a dump; a path, `web/inner` or `0/1`, leads to guests of guests.
 * Throws EXH_NO_GUEST, with the guests that there are, or that it may be; what `refused` says where that one has guests asked of it.
 */
export function selectGuest(container: Container, path: string): Guest {
  const { guests, evidence } = findGuests(hostIn(container));
  const whole = chooseGuest(guests, path);
  if (whole !== undefined) return whole;
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
    const outer = chooseGuest(guests, path.slice(0, slash));
    if (outer !== undefined) return selectGuest(outer.container(), path.slice(slash + 1));
  }
  const tried = evidence.map(({ method, detail, answer }) => `${method}: ${detail ?? answer ?? 'nothing'}`).join('; ');
  throw new ExhumeError(
    'EXH_NO_GUEST',
    guests.length === 0
      ? `there is no guest ${path}: no guests were found (${tried || 'the kernel has no hypervisor'})`
      : `there is no guest ${path}: there are ${listed(guests)}`,
    { found: path, hint: '`exhume guests FILE` lists them' },
  );
}
