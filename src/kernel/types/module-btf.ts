import { type Damage, damageOf, ExhumeError } from '../../bytes/errors.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import type { SymbolTable } from '../symbols.js';
import { Btf } from './btf.js';
import { KernelTypes } from './kernel-types.js';
import { listEntries } from './lists.js';
import type { Struct } from './struct.js';

const LONGEST_BTF = 64 << 20;

/**
 * The BTF of each loaded module, split on the kernel's: kept by the kernel in `struct btf` on its list `btf_modules`
 * (kernel/bpf/btf.c), not where `struct module` once pointed. What cannot be read is damage.
 */
export function readModuleBtfs(memory: VirtualMemory, symbols: SymbolTable, kernel: Btf, damage: Damage[]): Btf[] {
  const head = symbols.address('btf_modules');
  const types = new KernelTypes(kernel, () => []);
  const entry = types.struct('btf_module');
  const found: Btf[] = [];
  if (head === undefined || entry === undefined) return found;
  try {
    for (const module of listEntries(memory, head, entry, 'list')) {
      try {
        const btf = module.follow('btf');
        if (btf !== undefined) found.push(readBtf(btf, kernel));
      } catch (error) {
        damage.push(damageOf('type information of a module', error));
      }
    }
  } catch (error) {
    damage.push(damageOf('list of modules with type information', error));
  }
  return found;
}

function readBtf(btf: Struct, base: Btf): Btf {
  const size = btf.int('data_size');
  if (size > LONGEST_BTF) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', `a module's BTF would be ${size} bytes long`, { found: size });
  }
  return new Btf(btf.memory.bytes(btf.pointer('data'), size), btf.memory.littleEndian, base);
}
