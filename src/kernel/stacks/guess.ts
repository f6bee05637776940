import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import type { Position, UnwindContext } from './position.js';
import type { StackRegion } from './regions.js';
import { isPlausible, isUserMode, readSavedRegisters, sizeOfSavedRegisters } from './registers.js';
import { wordAt } from './stack-words.js';
import type { KernelText } from './text.js';

/**
 * The caller where no table tells it. In this order: what stands at the stack pointer after a jump to where no code is;
 * the first return address above whose call goes to this very function; by the frame pointer; the first return address
 * of whatever call; what lies at the stack's end. Undefined when there is nothing of the kind.
 */
export function guessCaller(context: UnwindContext, position: Position, region: StackRegion): Position | undefined {
  const { text } = context;
  const candidates = returnAddresses(context, position, region);
  const [first] = candidates;
  if (first !== undefined && first.slot === position.sp && !text.isText(position.ip)) return called(first);
  const start = text.at(position.ip)?.symbol.address;
  const exact = candidates.find(({ address }) => start !== undefined && text.callTarget(address) === start);
  // A call to where we are: as good as told, when the rest of the stack bears it out.
  if (exact !== undefined) return { ...called(exact), bp: outerBase(position, exact, region), doubtful: false };
  return byFramePointer(context, position, region) ?? (first === undefined ? byEnd(context, region) : called(first));
}

const GUESSED = { signal: false, registers: undefined, guessed: true, doubtful: true } as const;

/** `[rbp]` is the caller's rbp, the word above it the return address, where code keeps frame pointers (BPF programs do). */
function byFramePointer(
  { view, text }: UnwindContext,
  { sp, bp }: Position,
  region: StackRegion,
): Position | undefined {
  if (bp === undefined || bp < sp || (bp & 7n) !== 0n || bp + 16n > region.end) return undefined;
  const ip = wordAt(view, bp + 8n);
  const outer = wordAt(view, bp);
  if (ip === undefined || outer === undefined || !text.isReturnAddress(ip)) return undefined;
  return { ...GUESSED, ip, sp: bp + 16n, bp: outer, slot: bp + 8n };
}

interface TextWord {
  readonly slot: bigint;
  readonly address: bigint;
}

function called({ slot, address }: TextWord): Position {
  return { ...GUESSED, ip: address, sp: slot + 8n, bp: undefined, slot };
}

/** The frame pointer, if it can still be the caller's: functions without a use for it leave it alone. */
function outerBase({ bp }: Position, { slot }: TextWord, { end }: StackRegion): bigint | undefined {
  return bp !== undefined && bp > slot && bp < end ? bp : undefined;
}

function returnAddresses({ view, text }: UnwindContext, { sp }: Position, { end }: StackRegion): TextWord[] {
  return [...textWords(view, text, sp, end)].filter(({ address }) => text.isReturnAddress(address));
}

/** The registers of user mode lie at the end of a task's stack, those of an exception at the end of its. */
function byEnd({ view }: UnwindContext, region: StackRegion): Position | undefined {
  if (region.kind !== 'task' && region.kind !== 'exception') return undefined;
  const size = BigInt(sizeOfSavedRegisters(view));
  for (const padding of PADDINGS) {
    try {
      const registers = readSavedRegisters(view, region.end - padding - size);
      if (!isPlausible(registers) || (region.kind === 'task' && !isUserMode(registers))) continue;
      const [ip, sp, bp] = [registers.get('rip') ?? 0n, registers.get('rsp') ?? 0n, registers.get('rbp')];
      return { ip, sp, bp, signal: true, registers, slot: undefined, guessed: true, doubtful: false };
    } catch (error) {
      if (!isExhumeError(error)) throw error;
    }
  }
  return undefined;
}

/** `TOP_OF_KERNEL_STACK_PADDING`: 16 with FRED, else 0; arch/x86/include/asm/thread_info.h. */
const PADDINGS: readonly bigint[] = [0n, 16n];

/** Every word from `from` to the end of a stack that is an address of kernel code; pages that are missing are left out. */
export function* textWords(view: KernelView, text: KernelText, from: bigint, to: bigint): Generator<TextWord> {
  for (let slot = (from + 7n) & ~7n; slot + 8n <= to; slot += 8n) {
    const address = wordAt(view, slot);
    if (address !== undefined && address >= KERNEL_HALF && text.isText(address)) yield { slot, address };
  }
}

const KERNEL_HALF = 1n << 63n;
