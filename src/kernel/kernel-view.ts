import { type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import type { VirtualMemory } from '../machine/virtual-memory.js';
import type { Kernel } from './kernel.js';
import { type KernelTypes, noLayout } from './types/kernel-types.js';
import { Struct } from './types/struct.js';

/** More CPUs than any kernel is built for. */
const MOST_CPUS = 8192;

/** A kernel together with its types: what everything that walks the kernel's structures starts from. */
export class KernelView {
  readonly memory: VirtualMemory;
  readonly types: KernelTypes;
  private offsets: BigUint64Array | undefined;

  /** Throws EXH_NO_LAYOUT for a kernel without type information. */
  constructor(readonly kernel: Kernel) {
    const types = kernel.types();
    if (types === undefined) throw noLayout('type at all: it has no BTF');
    this.memory = kernel.memory;
    this.types = types;
  }

  /** The structure of a type at an address. Throws EXH_NO_LAYOUT for an unknown type. */
  struct(type: string, address: bigint): Struct {
    return new Struct(this.memory, this.types.requireStruct(type), virtualAddress(address));
  }

  /** The address of a kernel variable. Throws EXH_NO_SYMBOL when there is none of this name. */
  address(symbol: string): VirtualAddress {
    const address = this.kernel.symbols.address(symbol);
    if (address === undefined)
      throw new ExhumeError('EXH_NO_SYMBOL', `this kernel has no symbol ${symbol}`, { expected: symbol });
    return address;
  }

  /** A kernel variable that is a structure: `init_task`. */
  variable(symbol: string, type: string): Struct {
    return this.struct(type, this.address(symbol));
  }

  /** The address of a per-CPU variable on a CPU, by its symbol or by the address or offset that the kernel gives. */
  perCpu(variable: string | bigint, cpu: number): VirtualAddress {
    const offset = this.perCpuOffsets()[cpu];
    if (offset === undefined) {
      throw new ExhumeError(
        'EXH_BAD_STRUCTURE',
        `there is no CPU ${cpu}: the kernel has ${this.perCpuOffsets().length}`,
      );
    }
    return virtualAddress((typeof variable === 'string' ? this.address(variable) : variable) + offset);
  }

  /** `nr_cpu_ids`: CPU numbers are below it. */
  get cpuCount(): number {
    return this.perCpuOffsets().length;
  }

  /** The CPUs in `cpu_online_mask`, or in another mask of that kind (`possible`, `present`, `active`). */
  cpus(mask: 'online' | 'possible' | 'present' | 'active' = 'online'): number[] {
    const bits = this.memory.bytes(this.address(`__cpu_${mask}_mask`), Math.ceil(this.cpuCount / 8));
    return Array.from({ length: this.cpuCount }, (_, cpu) => cpu).filter(
      (cpu) => (((bits[cpu >> 3] ?? 0) >> (cpu & 7)) & 1) === 1,
    );
  }

  private perCpuOffsets(): BigUint64Array {
    if (this.offsets !== undefined) return this.offsets;
    const told = this.kernel.symbols.address('nr_cpu_ids');
    // A constant where the kernel is built for one number of CPUs: then there are as many as offsets that are not 0.
    const count = Math.min(told === undefined ? 1 : this.memory.u32(told), MOST_CPUS);
    const table = this.address('__per_cpu_offset');
    this.offsets = BigUint64Array.from({ length: count }, (_, cpu) => this.memory.u64(table + BigInt(cpu * 8)));
    return this.offsets;
  }
}
