import { virtualAddress } from '../bytes/address.js';
import { KernelView } from '../kernel/kernel-view.js';
import { openKernels, selectKernel } from '../kernel/open.js';
import type { Struct } from '../kernel/types/struct.js';
import { openMachine } from '../machine/open.js';
import { PatchedMemory } from './patched-memory.js';
import { openSample } from './sample.js';

/** A copy of the sample whose memory can be overwritten by the kernel's own addresses. */
export interface DamagedView {
  readonly view: KernelView;
  /** Writes 64-bit words, little endian. Throws when nothing is mapped there. */
  write(address: bigint, ...words: bigint[]): void;
  writeBytes(address: bigint, bytes: Uint8Array): void;
  /** Sets an integer or pointer member. */
  set(struct: Struct, path: string, value: bigint | number): void;
  /** A structure of a type in memory that nothing of the tests needs (the log's), all zeros. */
  make(type: string): Struct;
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
  let next: bigint = view.address('__log_buf');
  return {
    view,
    writeBytes,
    set: (struct, path, value) => {
      const { size } = struct.type.require(path);
      const bytes = new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, BigInt(value))).buffer);
      writeBytes(struct.addressOf(path), bytes.subarray(0, size));
    },
    make: (type) => {
      const struct = view.struct(type, next);
      writeBytes(next, new Uint8Array(struct.type.size));
      next += BigInt(Math.ceil(struct.type.size / 64) * 64);
      return struct;
    },
    write: (address, ...words) => writeBytes(address, new Uint8Array(BigUint64Array.from(words).buffer)),
    exclude: (address) => memory.patch(Math.floor(physical(address) / memory.pageSize), 'excluded'),
  };
}
