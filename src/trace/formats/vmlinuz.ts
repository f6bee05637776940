import { virtualAddress } from '../../bytes/address.js';
import type { ByteSource } from '../../bytes/byte-source.js';
import { isExhumeError } from '../../bytes/errors.js';
import type { KernelSymbol, SymbolHit } from '../../kernel/symbols.js';
import type { TraceFormats, TraceNames } from '../model.js';
import { openBootImage } from './boot-image.js';
import { readImageFormats } from './image-formats.js';
import { type KernelImage, openKernelImage } from './kernel-image.js';
import { typeValues } from './kernel-values.js';
import { printkFormats } from './printk-formats.js';
import { SharedStrings } from './shared-strings.js';

/** What a kernel's boot image tells of its traces. */
export interface VmlinuzFormats {
  readonly release: string | undefined;
  /** How the file was packed: `bzImage (zstd)`; undefined: it is a vmlinux. */
  readonly packing: string | undefined;
  /** The events that are built in. */
  readonly formats: TraceFormats;
  /** Where `_text` is linked to. A running kernel's `_text` lies as far from it as all of the kernel: `namesAt` wants the distance. */
  readonly text: bigint | undefined;
  /**
   * Symbols, and the formats of `trace_printk`, of that kernel when it runs `offset` bytes above the addresses that it is
   * linked to (0 without KASLR). Command lines are not there.
   */
  namesAt(offset: bigint): TraceNames;
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
    text: image.symbols.address('_text'),
    namesAt: (offset) => imageNames(image, offset),
  };
}

function imageNames(image: KernelImage, offset: bigint): TraceNames {
  const { memory, symbols } = image;
  const strings = new SharedStrings(memory);
  const moved = (symbol: KernelSymbol): KernelSymbol =>
    // Absolute ones, as per-CPU offsets are, stay where they are.
    symbol.type === 'A' ? symbol : { ...symbol, address: virtualAddress(symbol.address + offset) };
  const string = (address: bigint): string | undefined => {
    try {
      return strings.at(BigInt.asUintN(64, address - offset)) || undefined;
    } catch (error) {
      if (isExhumeError(error)) return undefined;
      throw error;
    }
  };
  const formats = new Map(
    [...printkFormats({ memory, symbols, types: image.types }, strings)].map(([address, text]) => [
      BigInt.asUintN(64, address + offset),
      text,
    ]),
  );
  return {
    comm: (pid) => (pid === 0 ? '<idle>' : undefined),
    threadGroup: () => undefined,
    symbol: (address): SymbolHit | undefined => {
      const hit = symbols.at(BigInt.asUintN(64, address - offset));
      return hit && { ...hit, symbol: moved(hit.symbol) };
    },
    printkFormat: (address) => formats.get(address) ?? string(address),
    string,
    ...typeValues(image.types),
    comms: () => [],
    threadGroups: () => [],
    printkFormats: () => formats,
    *symbols() {
      for (const symbol of symbols.all()) yield moved(symbol);
    },
  };
}
