import type { ByteSource } from '../../bytes/byte-source.js';
import { isExhumeError } from '../../bytes/errors.js';
import type { TraceFormats, TraceNames } from '../model.js';
import { openBootImage } from './boot-image.js';
import { functionParameters } from './function-parameters.js';
import { readImageFormats } from './image-formats.js';
import { type KernelImage, openKernelImage } from './kernel-image.js';
import { typeValues } from './kernel-values.js';
import { printkFormats } from './printk-formats.js';
import { SharedStrings } from './shared-strings.js';

/** What a kernel's boot image tells of its traces, with addresses as the kernel is linked: without KASLR. */
export interface VmlinuzFormats {
  readonly release: string | undefined;
  /** How the file was packed: `bzImage (zstd)`; undefined: it is a vmlinux. */
  readonly packing: string | undefined;
  /** The events that are built in. */
  readonly formats: TraceFormats;
  /** Symbols, and the formats of `trace_printk`; command lines are not there. */
  readonly names: TraceNames;
  symbolAddress(name: string): bigint | undefined;
  /** How far from its link addresses the names are: not at all. */
  readonly kaslrOffset: bigint;
}

/**
 * Reads a kernel's image as it is packaged: a `vmlinuz` (x86 bzImage, compressed in any of the ways the kernel's build
 * knows), or a `vmlinux`. With it a trace can be read of which the kernel itself is gone.
 * Throws the errors of `openBootImage`, `openKernelImage` and `readImageFormats`.
 */
export function readVmlinuz(source: ByteSource): VmlinuzFormats {
  const { elf, packing } = openBootImage(source);
  const image = openKernelImage(elf);
  return {
    release: image.release,
    packing,
    formats: readImageFormats(image),
    names: imageNames(image),
    symbolAddress: (name) => image.symbols.address(name),
    kaslrOffset: 0n,
  };
}

/** Names out of an image alone. */
function imageNames(image: KernelImage): TraceNames {
  const { memory, symbols, types } = image;
  const strings = new SharedStrings(memory);
  const formats = printkFormats(image, strings);
  const string = (address: bigint): string | undefined => {
    try {
      return address === 0n ? undefined : strings.at(address);
    } catch (error) {
      if (isExhumeError(error)) return undefined;
      throw error;
    }
  };
  return {
    comm: (pid) => (pid === 0 ? '<idle>' : undefined),
    threadGroup: () => undefined,
    symbol: (address) => symbols.at(address),
    printkFormat: (address) => formats.get(address) ?? string(address),
    string,
    ...typeValues(types),
    parameters: (name) => functionParameters(types, name),
    comms: () => [],
    threadGroups: () => [],
    printkFormats: () => formats,
    symbols: () => symbols.all(),
  };
}
