import { ExhumeError } from '../bytes/errors.js';
import type { VirtualMemory } from '../machine/virtual-memory.js';
import type { SymbolTable } from './symbols.js';
import { Btf } from './types/btf.js';

const LONGEST_BTF = 256n << 20n;

/** BTF between `__start_BTF` and `__stop_BTF`; undefined when the kernel has none. Throws EXH_BAD_STRUCTURE and memory's errors. */
export function loadBtf(memory: VirtualMemory, symbols: SymbolTable): Btf | undefined {
  const start = symbols.address('__start_BTF');
  const stop = symbols.address('__stop_BTF');
  if (start === undefined || stop === undefined || stop <= start) return undefined;
  if (stop - start > LONGEST_BTF) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', `BTF would be ${stop - start} bytes long`, { address: start });
  }
  return new Btf(memory.bytes(start, Number(stop - start)), memory.littleEndian);
}
