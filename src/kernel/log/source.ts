import type { VirtualAddress } from '../../bytes/address.js';
import { type Damage, type ErrorCode, ExhumeError } from '../../bytes/errors.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import type { Layouts } from '../layouts.js';
import type { SymbolTable } from '../symbols.js';
import type { Vmcoreinfo } from '../vmcoreinfo.js';
import type { Region } from './region.js';

/** What the log is read from; a `Kernel` is one. */
export interface LogSource {
  readonly memory: VirtualMemory;
  readonly symbols: Pick<SymbolTable, 'address' | 'findAll'>;
  readonly layouts: Layouts;
  readonly vmcoreinfo?: Vmcoreinfo | undefined;
}

/** Where a symbol lies: VMCOREINFO's word before kallsyms', since static names may come more than once there. */
export function symbolAddress(source: LogSource, name: string): VirtualAddress | undefined {
  const told = source.vmcoreinfo?.symbol(name);
  return told === undefined ? source.symbols.address(name) : (told as VirtualAddress);
}

const PART = 'kernel log';

/** More messages than any log buffer holds (16 MiB hold some 200,000); a hostile page table can make one page look like many. */
export const MOST_RECORDS = 1 << 20;

/** Counts what is wrong, kind by kind, so that a broken log gives a handful of findings and not thousands. */
export class Tally {
  private readonly kinds = new Map<string, { code: ErrorCode; count: number; first: string }>();

  /** @param where which record: `sequence 12`, `offset 4096` */
  add(code: ErrorCode, what: string, where: string): void {
    const kind = this.kinds.get(what);
    if (kind === undefined) this.kinds.set(what, { code, count: 1, first: where });
    else kind.count++;
  }

  /** Reports the pages of a region that could not be read. */
  addRegion(name: string, region: Region): void {
    const error = region.firstError;
    if (error === undefined) return;
    this.kinds.set(`${name}: ${region.unreadablePages} of its pages cannot be read`, {
      code: error.code,
      count: 1,
      first: error.message,
    });
  }

  damage(): Damage[] {
    return [...this.kinds].map(([what, { code, count, first }]) => ({
      code,
      part: PART,
      message: count === 1 ? `${what} (${first})` : `${what}: ${count} times, first at ${first}`,
    }));
  }
}

/** A member's offset in bytes. Throws EXH_NO_LAYOUT when the dump does not tell it. */
export function requireOffset(layouts: Layouts, struct: string, member: string): number {
  const offset = layouts.offset(struct, member);
  if (offset === undefined) throw noLayout(`${struct}.${member}`);
  return offset;
}

/** A structure's size in bytes. Throws EXH_NO_LAYOUT when the dump does not tell it. */
export function requireSize(layouts: Layouts, struct: string): number {
  const size = layouts.size(struct);
  if (size === undefined) throw noLayout(`the size of ${struct}`);
  return size;
}

function noLayout(what: string): ExhumeError {
  return new ExhumeError('EXH_NO_LAYOUT', `kernel log: this dump does not tell ${what}`, {
    expected: what,
    hint: 'neither VMCOREINFO nor BTF was found, or the kernel was built without them',
  });
}

/** The error for a value that no kernel would have there. */
export function badStructure(message: string, address: bigint, found: number | bigint): ExhumeError {
  return new ExhumeError('EXH_BAD_STRUCTURE', `kernel log: ${message}`, { address, found });
}
