import type { VirtualMemory } from '../../machine/virtual-memory.js';

/** The longest print format of Linux 7.2 has 7,000 characters. */
const LONGEST = 1 << 16;
/** Characters that are kept; all of a kernel's formats have one or two million. */
const MOST_KEPT = 1 << 25;

/** Strings that many structures point at: each is read once, as long as they are not more than any kernel has. */
export class SharedStrings {
  private readonly read = new Map<bigint, string>();
  private kept = 0;

  constructor(private readonly memory: VirtualMemory) {}

  /** The string at an address; '' for NULL. Throws the errors of memory. */
  at(address: bigint): string {
    if (address === 0n) return '';
    const known = this.read.get(address);
    if (known !== undefined) return known;
    const text = this.memory.string(address, LONGEST);
    this.kept += text.length;
    if (this.kept > MOST_KEPT) {
      this.read.clear();
      this.kept = text.length;
    }
    this.read.set(address, text);
    return text;
  }
}
