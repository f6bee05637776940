import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import type { SymbolHit } from '../symbols.js';

/** What is code in a dead kernel: its own, its modules', and what it leaves to say by name. */
export class KernelText {
  private readonly symbols = new Map<bigint, SymbolHit | undefined>();
  private readonly spans: readonly (readonly [from: bigint, to: bigint])[];

  constructor(private readonly view: KernelView) {
    const span = (from: string, to: string): [bigint, bigint][] => {
      const start = view.kernel.symbols.address(from);
      const end = view.kernel.symbols.address(to);
      return start === undefined || end === undefined ? [] : [[start, end]];
    };
    this.spans = [...span('_stext', '_etext'), ...span('_sinittext', '_einittext')];
  }

  /** The symbol that an address lies in; kept, as stacks share their frames. */
  at(address: bigint): SymbolHit | undefined {
    const known = this.symbols.get(address);
    if (known !== undefined || this.symbols.has(address)) return known;
    const hit = this.view.kernel.symbols.at(address);
    this.symbols.set(address, hit);
    return hit;
  }

  isText(address: bigint): boolean {
    if (this.spans.some(([from, to]) => address >= from && address < to)) return true;
    // Modules lie near the kernel's image; nothing below has symbols.
    if (address < NEAR_KERNEL) return false;
    const hit = this.view.kernel.symbols.at(address);
    return hit?.symbol.module !== undefined && /^[tTwW]$/.test(hit.symbol.type);
  }

  /** Could a call have left this address on a stack: is it code, with a call before it where the code is in the dump? */
  isReturnAddress(address: bigint): boolean {
    if (!this.isText(address - 1n)) return false;
    try {
      return endsInCall(this.view.memory.bytes(address - LONGEST_CALL, Number(LONGEST_CALL)));
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      return true;
    }
  }

  /** What the call before a return address calls; undefined when that is told by a register or memory, or not in the dump. */
  callTarget(address: bigint): bigint | undefined {
    try {
      if (this.view.memory.u8(address - DIRECT_CALL) !== 0xe8) return undefined;
      return BigInt.asUintN(64, address + BigInt(this.view.memory.i32(address - 4n)));
    } catch (error) {
      if (isExhumeError(error)) return undefined;
      throw error;
    }
  }
}

/** Bytes of `call` with the distance to its target. */
const DIRECT_CALL = 5n;

/** The kernel's image and its modules are mapped in the last 2 GiB. */
const NEAR_KERNEL = 0xffffffff80000000n;
const LONGEST_CALL = 7n;

/** Do these seven bytes end in an instruction of the `call` family? */
function endsInCall(code: Uint8Array): boolean {
  const byte = (back: number): number => code[code.length - back] ?? 0;
  if (byte(5) === 0xe8) return true;
  // ff /2 with a register or memory operand, by its length: ModRM, and what follows it.
  const operand = (back: number, mask: number, bits: number): boolean =>
    byte(back) === 0xff && (byte(back - 1) & mask) === bits;
  return (
    operand(2, 0xf8, 0xd0) ||
    operand(2, 0xf8, 0x10) ||
    operand(3, 0xf8, 0x50) ||
    operand(3, 0xff, 0x14) ||
    operand(6, 0xff, 0x15) ||
    operand(6, 0xf8, 0x90) ||
    operand(7, 0xff, 0x14) ||
    operand(7, 0xff, 0x94)
  );
}
