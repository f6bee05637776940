import type { VirtualMemory } from '../../machine/virtual-memory.js';

/** The longest print format of Linux 7.2 has 7,000 characters. */
const LONGEST = 1 << 16;

/** Strings that many structures point at: each is read once. */
export class SharedStrings {
  private readonly read = new Map<bigint, string>();

  constructor(private readonly memory: VirtualMemory) {}

  /** The string at an address; '' for NULL. Throws the errors of memory. */
  at(address: bigint): string {
    if (address === 0n) return '';
    const known = this.read.get(address);
    if (known !== undefined) return known;
    const text = this.memory.string(address, LONGEST);
    this.read.set(address, text);
    return text;
  }
}
