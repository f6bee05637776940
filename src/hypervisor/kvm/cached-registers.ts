import { type ExhumeError, isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import type { Struct } from '../../kernel/types/struct.js';
import { REGISTERS_BY_NUMBER } from '../guest.js';

/** Memory that a dump does not have. */
const MISSING = ['EXH_PAGE_EXCLUDED', 'EXH_PAGE_LOST', 'EXH_PAGE_ABSENT', 'EXH_NOT_MAPPED'] as const;
/** Order of `vcpu->arch.regs` (enum kvm_reg, arch/x86/include/asm/kvm_host.h). */
export const REGS = [...REGISTERS_BY_NUMBER, 'rip'];
/** Numbers of `enum kvm_reg` behind them where the types do not tell, as they are since 5.7. */
const EXTENDED_NUMBERS: Readonly<Record<string, bigint>> = { CR0: 18n, CR3: 19n, CR4: 20n };
/** What enumerators begin with; the second since 7.1. */
const EXTENDED_PREFIXES = ['VCPU_EXREG_', 'VCPU_REG_'];

/** What `vcpu->arch` caches, and which of it is newer than the hardware's structure. */
export class CachedRegisters {
  private readonly values = new Map<string, bigint>();
  private readonly available: bigint;
  private readonly dirty: bigint;
  readonly levels: number;
  /** Why a part of it could not be read. */
  missing: ExhumeError | undefined;

  constructor(
    private readonly view: KernelView,
    vcpu: Struct,
  ) {
    const regs = vcpu.type.require('arch.regs');
    const at = (i: number): bigint => vcpu.address + BigInt(regs.offset + i * 8);
    for (const [i, name] of REGS.entries()) {
      if (i * 8 + 8 <= regs.size) this.keep(name, () => view.memory.u64(at(i)));
    }
    // A member of its own since 7.1.
    if (vcpu.has('arch.rip')) this.keep('rip', () => vcpu.big('arch.rip'));
    for (const name of ['cr0', 'cr2', 'cr3', 'cr4', 'efer']) this.keep(name, () => vcpu.big(`arch.${name}`));
    // Where they are missing the hardware's structure has the word.
    this.available = this.part(() => bitsOf(vcpu, 'arch.regs_avail')) ?? 0n;
    this.dirty = this.part(() => bitsOf(vcpu, 'arch.regs_dirty')) ?? 0n;
    this.levels = (vcpu.has('arch.mmu') ? this.part(() => nestedLevels(view, vcpu)) : undefined) ?? 4;
  }

  private keep(name: string, read: () => bigint): void {
    const value = this.part(read);
    if (value !== undefined) this.values.set(name, value);
  }

  /** A dump that was filtered may lack a part of the structure: the rest stands. */
  private part<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!isExhumeError(error, ...MISSING)) throw error;
      this.missing ??= error;
      return undefined;
    }
  }

  all(): ReadonlyMap<string, bigint> {
    return this.values;
  }

  lacksGeneral(): boolean {
    return REGS.some((name) => !this.values.has(name));
  }

  get(name: string): bigint {
    return this.values.get(name) ?? 0n;
  }

  /** KVM has this value, or a newer one than the hardware. */
  has(name: string): boolean {
    return (this.available & this.bit(name)) !== 0n;
  }

  /** It was changed by KVM and not yet given to the hardware. */
  changed(name: string): boolean {
    return (this.dirty & this.bit(name)) !== 0n;
  }

  /** The same of what KVM keeps elsewhere: `RFLAGS`, `SEGMENTS`. False where the types do not have it. */
  hasExtended(name: string): boolean {
    return (this.available & this.extendedBit(name)) !== 0n;
  }

  private bit(name: string): bigint {
    const number = REGS.indexOf(name);
    return number >= 0 ? 1n << BigInt(number) : this.extendedBit(name.toUpperCase());
  }

  private extendedBit(name: string): bigint {
    const numbers = this.view.types.enumeration('kvm_reg');
    const told = EXTENDED_PREFIXES.map((prefix) => numbers?.get(`${prefix}${name}`)).find((one) => one !== undefined);
    const number = told ?? EXTENDED_NUMBERS[name];
    return number === undefined || number < 0n || number > 63n ? 0n : 1n << number;
  }
}

/** `u32` until 7.0, a bitmap of `unsigned long` since. */
function bitsOf(vcpu: Struct, member: string): bigint {
  const bytes = vcpu.bytes(member);
  const padded = new Uint8Array(8);
  padded.set(bytes.subarray(0, 8));
  return new DataView(padded.buffer).getBigUint64(0, true);
}

/** `kvm_mmu.root_role.level` of the root that maps the guest itself; it is 4 or 5 with nested paging. */
function nestedLevels(view: KernelView, vcpu: Struct): number {
  const mmu = view.struct('kvm_mmu', vcpu.addressOf('arch.root_mmu'));
  for (const path of ['root_role.level', 'mmu_role.base.level', 'shadow_root_level']) {
    if (!mmu.has(path)) continue;
    const level = mmu.int(path);
    if (level === 4 || level === 5) return level;
  }
  return 4;
}
