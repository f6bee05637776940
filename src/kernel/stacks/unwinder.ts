import { hex, type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import type { Stack, StackFrame } from './frame.js';
import { guessCaller } from './guess.js';
import type { OrcEntry, OrcRegister } from './orc-format.js';
import type { Position, UnwindContext } from './position.js';
import { regionOf, type StackRegion } from './regions.js';
import { isPlausible, isUserMode, partialOffset, readSavedRegisters, requireRegister } from './registers.js';
import type { Replacer } from './replaced-returns.js';

/** A stack of 16 KiB holds 2048 words; a task may be on several. */
const MOST_FRAMES = 4096;

/**
 * Follows a stack from a position to its end, as the kernel's own unwinder does (arch/x86/kernel/unwind_orc.c), and
 * where that has no answer by guessing. Never throws for damaged memory: the stack then ends `lost`.
 */
export function unwind(context: UnwindContext, start: Position): Stack {
  const frames: StackFrame[] = [];
  const problems: string[] = [];
  const left = new Set<StackRegion>();
  let position: Position = start;
  let region = regionOf(context.regions, position.sp);
  for (;;) {
    const { registers } = position;
    if (registers !== undefined && isUserMode(registers)) {
      frames.push(frameOf(context, position, undefined, 'user'));
      return { frames, end: 'user', problems };
    }
    const recovered = recover(context, position, problems);
    position = recovered.position;
    frames.push(frameOf(context, position, region, position.signal ? 'interrupted' : 'call', recovered.replacedBy));
    if (frames.length >= MOST_FRAMES) {
      problems.push(`more than ${MOST_FRAMES} frames`);
      return lost(frames, problems);
    }
    const next = caller(context, position, region, problems);
    if (next === 'end') return { frames, end: 'bottom', problems };
    if (next === undefined) return lost(frames, problems);
    const user = next.registers !== undefined && isUserMode(next.registers);
    const onto = user ? undefined : regionOf(context.regions, next.sp);
    // Up the same stack, or onto one that was not left before: so it comes to an end.
    if (!user && (onto === region ? next.sp <= position.sp : onto === undefined || left.has(onto))) {
      problems.push(`the frame above ${hex(position.sp)} would be at ${hex(next.sp)}, where no stack of it is`);
      return lost(frames, problems);
    }
    if (onto !== region && region !== undefined) left.add(region);
    region = onto;
    position = next;
  }
}

/** A guess that does not lead to the stack's end bears nothing out. */
function lost(frames: readonly StackFrame[], problems: readonly string[]): Stack {
  const first = frames.findIndex(({ confidence }) => confidence === 'guessed');
  const doubted = frames.map(
    (frame, index): StackFrame => (first < 0 || index < first ? frame : { ...frame, confidence: 'guessed' }),
  );
  return { frames: doubted, end: 'lost', problems };
}

function frameOf(
  { text, returns }: UnwindContext,
  { ip, sp, slot, guessed, registers }: Position,
  stack: StackRegion | undefined,
  kind: StackFrame['kind'],
  replacedBy?: Replacer,
): StackFrame {
  const own = kind === 'user' ? undefined : text.at(ip);
  // A trampoline whose owner keeps no real address was not called: it is where the frame goes on.
  const hit = kind === 'call' && returns.replacer(ip) === undefined ? text.at(ip - 1n) : own;
  return {
    kind,
    address: virtualAddress(ip),
    // A call that never returns may be a function's last instruction: the offset then is the function's size.
    symbol: hit === undefined || hit === own ? hit : { ...hit, offset: Number(ip - hit.symbol.address) },
    sp: virtualAddress(sp),
    slot: slot as VirtualAddress | undefined,
    stack,
    confidence: guessed ? 'guessed' : 'unwound',
    registers: kind === 'call' ? undefined : registers,
    replacedBy,
  };
}

/** Puts the real return address in the place of a tracer's trampoline. */
function recover({ returns }: UnwindContext, position: Position, problems: string[]) {
  const replacedBy = position.slot === undefined ? undefined : returns.replacer(position.ip);
  if (replacedBy === undefined || position.slot === undefined) return { position, replacedBy: undefined };
  try {
    const ip = returns.original(replacedBy, position.slot);
    if (ip !== undefined) return { position: { ...position, ip }, replacedBy };
    problems.push(`${replacedBy} keeps no return address for ${hex(position.slot)}`);
  } catch (error) {
    if (!isExhumeError(error)) throw error;
    problems.push(`what ${replacedBy} keeps for ${hex(position.slot)}: ${error.message}`);
  }
  return { position, replacedBy: undefined };
}

/** The caller's position; `end` at the outermost frame; undefined when not even a guess leads on. */
function caller(
  context: UnwindContext,
  position: Position,
  region: StackRegion | undefined,
  problems: string[],
): Position | 'end' | undefined {
  let why: string;
  try {
    const entry = position.ip === 0n ? NULL_CALL : context.orc.find(position.signal ? position.ip : position.ip - 1n);
    if (entry?.type === 'end') return 'end';
    if (entry !== undefined && entry.type !== 'undefined') {
      const next = step(context, position, entry);
      const user = next.registers !== undefined && isUserMode(next.registers);
      const isCode = user || next.registers !== undefined || context.text.isText(next.ip - 1n);
      const onStack = user || regionOf(context.regions, next.sp) !== undefined;
      if (isCode && onStack) return next;
      why = isCode ? `the stack pointer would be ${hex(next.sp)}` : `${hex(next.ip)} is no kernel code`;
    } else {
      why = 'the unwind tables do not cover it';
    }
  } catch (error) {
    if (!isExhumeError(error)) throw error;
    why = error.message;
  }
  problems.push(`${name(context, position)}: ${why}`);
  return region === undefined ? undefined : guessCaller(context, position, region);
}

function name({ text }: UnwindContext, { ip, signal }: Position): string {
  const hit = text.at(signal ? ip : ip - 1n);
  return hit === undefined ? hex(ip) : `${hit.symbol.name}+${hex(ip - hit.symbol.address)}`;
}

/** A call of a null pointer: nothing has happened yet but that the return address was pushed. */
const NULL_CALL: OrcEntry = {
  spOffset: 8,
  bpOffset: 0,
  spRegister: 'sp',
  bpRegister: 'undefined',
  type: 'call',
  signal: false,
};

/** One step by the tables. Throws memory's errors, and EXH_BAD_STRUCTURE when a register is not known. */
function step({ view }: UnwindContext, position: Position, entry: OrcEntry): Position {
  const { memory } = view;
  const base = baseOf(view, position, entry.spRegister, entry.spOffset);
  const common = { guessed: position.doubtful, doubtful: position.doubtful, signal: entry.signal };
  if (entry.type === 'call') {
    const slot = base - 8n;
    const bp = frameBase(view, position, entry, base);
    return { ...common, ip: memory.u64(slot), sp: base, bp, registers: undefined, slot };
  }
  const partial = entry.type === 'regs-partial';
  const at = partial ? base - BigInt(partialOffset(view)) : base;
  const saved = readSavedRegisters(view, at, partial);
  if (!isPlausible(saved)) requireRegister(new Map(), `cs in the registers saved at ${hex(at)}`);
  // Without a whole set, the others are still what they were.
  const registers = partial ? new Map([...(position.registers ?? []), ...saved]) : saved;
  return {
    ...common,
    signal: true,
    ip: requireRegister(saved, 'rip'),
    sp: requireRegister(saved, 'rsp'),
    bp: saved.get('rbp') ?? frameBase(view, position, entry, base),
    registers: partial && position.registers === undefined ? saved : registers,
    slot: undefined,
  };
}

/** What the previous frame's stack pointer is told from. */
function baseOf(view: KernelView, position: Position, register: OrcRegister, offset: number): bigint {
  const by = BigInt(offset);
  const wrap = (value: bigint): bigint => BigInt.asUintN(64, value);
  switch (register) {
    case 'sp':
      return wrap(position.sp + by);
    case 'sp-indirect':
      return wrap(view.memory.u64(position.sp) + by);
    case 'bp':
      return wrap(knownBp(position) + by);
    case 'bp-indirect':
      return view.memory.u64(wrap(knownBp(position) + by));
    default:
      return requireRegister(position.registers ?? new Map(), REGISTERS.get(register) ?? register);
  }
}

const REGISTERS: ReadonlyMap<OrcRegister, string> = new Map([
  ['ax', 'rax'],
  ['dx', 'rdx'],
  ['di', 'rdi'],
  ['r10', 'r10'],
  ['r13', 'r13'],
]);

function knownBp({ bp }: Position): bigint {
  return bp ?? requireRegister(new Map(), 'rbp');
}

function frameBase(view: KernelView, position: Position, entry: OrcEntry, base: bigint): bigint | undefined {
  const by = BigInt(entry.bpOffset);
  switch (entry.bpRegister) {
    case 'previous-sp':
      return view.memory.u64(BigInt.asUintN(64, base + by));
    case 'bp':
      return view.memory.u64(BigInt.asUintN(64, knownBp(position) + by));
    default:
      return position.bp;
  }
}
