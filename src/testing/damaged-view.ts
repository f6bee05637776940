import { virtualAddress } from '../bytes/address.js';
import { KernelView } from '../kernel/kernel-view.js';
import { openKernels, selectKernel } from '../kernel/open.js';
import { openMachine } from '../machine/open.js';
import { PatchedMemory } from './patched-memory.js';
import { openSample } from './sample.js';

/** A copy of the sample whose memory can be overwritten by the kernel's own addresses. */
export interface DamagedView {
  readonly view: KernelView;
  /** Writes 64-bit words, little endian. Throws when nothing is mapped there. */
  write(address: bigint, ...words: bigint[]): void;
  writeBytes(address: bigint, bytes: Uint8Array): void;
  /** Takes the page away, as if the dump's writer had filtered it. */
  exclude(address: bigint): void;
}

/** Opens the sample anew; what is written to it is seen by this view only. */
export function damagedView(): DamagedView {
  const { container } = openSample();
  const memory = new PatchedMemory(container.memory);
  const kernel = selectKernel(openKernels(openMachine({ ...container, memory })));
  const view = new KernelView(kernel);
  const physical = (address: bigint): number => {
    const at = kernel.memory.translate(virtualAddress(address));
    if (at === undefined) throw new Error(`nothing is mapped at ${address.toString(16)}`);
    return at;
  };
  const writeBytes = (address: bigint, bytes: Uint8Array): void => memory.write(physical(address), bytes);
  return {
    view,
    writeBytes,
    write: (address, ...words) => writeBytes(address, new Uint8Array(BigUint64Array.from(words).buffer)),
    exclude: (address) => memory.patch(Math.floor(physical(address) / memory.pageSize), 'excluded'),
  };
}
