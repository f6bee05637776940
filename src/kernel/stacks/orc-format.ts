import { ExhumeError } from '../../bytes/errors.js';

/** What an ORC entry's base registers can be; arch/x86/include/asm/orc_types.h. */
export type OrcRegister =
  | 'undefined'
  | 'previous-sp'
  | 'sp'
  | 'bp'
  | 'ax'
  | 'dx'
  | 'di'
  | 'r10'
  | 'r13'
  | 'bp-indirect'
  | 'sp-indirect';

export type OrcType =
  /** No unwinding from here. */
  | 'undefined'
  /** The outermost frame. */
  | 'end'
  /** An ordinary call: the return address lies below the previous frame's stack pointer. */
  | 'call'
  /** A whole `struct pt_regs`. */
  | 'regs'
  /** Only the end of one, that the processor pushed: ip, cs, flags, sp, ss. */
  | 'regs-partial';

/** How to get from one frame to its caller; offsets in bytes. */
export interface OrcEntry {
  readonly spOffset: number;
  readonly bpOffset: number;
  readonly spRegister: OrcRegister;
  readonly bpRegister: OrcRegister;
  readonly type: OrcType;
  /** The next frame was interrupted, not called: its address is the instruction's own. */
  readonly signal: boolean;
}

/** `struct orc_entry` is 6 bytes, packed. */
export const ORC_ENTRY_BYTES = 6;

/** One numbering of registers and types. */
export interface OrcFormat {
  /** The kernels that have it, in words. */
  readonly name: string;
  readonly registers: readonly OrcRegister[];
  /** What the third word of an entry says beside its registers. */
  kind(flags: number, spRegister: OrcRegister): { readonly type: OrcType; readonly signal: boolean };
}

/** Up to 6.18. */
const OLD_REGISTERS: readonly OrcRegister[] = [
  'undefined',
  'previous-sp',
  'dx',
  'di',
  'bp',
  'sp',
  'r10',
  'r13',
  'bp-indirect',
  'sp-indirect',
];

const NEW_REGISTERS: readonly OrcRegister[] = [
  'undefined',
  'ax',
  'dx',
  'sp',
  'bp',
  'di',
  'r10',
  'r13',
  'previous-sp',
  'sp-indirect',
  'bp-indirect',
];

const OLD_TYPES: readonly OrcType[] = ['call', 'regs', 'regs-partial'];
const NEW_TYPES: readonly OrcType[] = ['undefined', 'end', 'call', 'regs', 'regs-partial'];

/** `type:2`, and `end` where the kernel has it: before 4.18 every entry without a stack pointer ends the stack. */
function typeAndEnd(
  name: string,
  bits: { readonly end: number | undefined; readonly signal: number | undefined },
): OrcFormat {
  return {
    name,
    registers: OLD_REGISTERS,
    kind: (flags, spRegister) => {
      const type = OLD_TYPES[(flags >> 8) & 3] ?? 'undefined';
      const signal = bits.signal === undefined ? type !== 'call' : ((flags >> bits.signal) & 1) === 1;
      if (spRegister !== 'undefined') return { type, signal };
      return { type: bits.end === undefined || ((flags >> bits.end) & 1) === 1 ? 'end' : 'undefined', signal };
    },
  };
}

function typeAndSignal(name: string, registers: readonly OrcRegister[]): OrcFormat {
  return {
    name,
    registers,
    kind: (flags) => ({ type: NEW_TYPES[(flags >> 8) & 7] ?? 'undefined', signal: ((flags >> 11) & 1) === 1 }),
  };
}

const LINUX_4_14 = typeAndEnd('4.14 to 4.17', { end: undefined, signal: undefined });
const LINUX_4_18 = typeAndEnd('4.18 to 6.2', { end: 10, signal: undefined });
const LINUX_6_3 = typeAndEnd('6.3', { end: 11, signal: 10 });
const LINUX_6_4 = typeAndSignal('6.4 and later', OLD_REGISTERS);
const LINUX_7 = typeAndSignal('7.x', NEW_REGISTERS);

/** By `.orc_header`: the SHA-1 that scripts/orc_hash.sh makes of the format's definition. */
const BY_HASH: ReadonlyMap<string, OrcFormat> = new Map([
  ['db84aed4103b31dd51e017f8f79783ca985c2c51', LINUX_6_3],
  ['fe5d32bf581bd63b2ca9a5c65ba5a625eab3fe24', LINUX_6_4],
  ['137c36ad7627c4dd55932176bb0ecdbd5041fc82', LINUX_7],
]);

/** The members of BTF's `struct orc_entry` that tell formats apart: widths in bits, undefined where there is no such one. */
export interface OrcShape {
  readonly type: number | undefined;
  readonly end: number | undefined;
  readonly signal: number | undefined;
}

/**
 * The format of a kernel's tables: by the header's hash, else by the shape of the structure, else by what fits the
 * entries; whichever it is, entries have to look like a kernel's in it.
 * Throws EXH_BAD_STRUCTURE when they do in none.
 * @param hash of `.orc_header`, 40 hexadecimal digits
 * @param sample third words of entries from all over the table
 */
export function orcFormat(hash: string | undefined, shape: OrcShape | undefined, sample: readonly number[]): OrcFormat {
  const told = hash === undefined ? undefined : BY_HASH.get(hash);
  const candidates = told === undefined ? byShape(shape) : [told];
  const format = candidates.find((candidate) => isPlausible(candidate, sample));
  if (format !== undefined) return format;
  throw new ExhumeError('EXH_BAD_STRUCTURE', 'the kernel has ORC tables of a format that exhume does not know', {
    ...(hash === undefined ? {} : { found: hash }),
    hint: 'stacks are followed by frame pointers and by what looks like return addresses',
  });
}

function byShape(shape: OrcShape | undefined): readonly OrcFormat[] {
  if (shape?.type === undefined) return [LINUX_4_18, LINUX_6_4, LINUX_7];
  if (shape.type >= 3) return [LINUX_6_4, LINUX_7];
  if (shape.signal !== undefined) return [LINUX_6_3];
  return [shape.end === undefined ? LINUX_4_14 : LINUX_4_18];
}

/** In every kernel most frames are calls, found from the stack pointer. */
function isPlausible(format: OrcFormat, sample: readonly number[]): boolean {
  let fits = 0;
  let used = 0;
  for (const flags of sample) {
    const spRegister = format.registers[flags & 15];
    if (spRegister === 'undefined') continue;
    used++;
    if (spRegister === 'sp' && format.kind(flags, spRegister).type === 'call') fits++;
  }
  return fits * 2 > used;
}

/** An entry out of its bytes. Registers without a meaning are `undefined`, so that the walk ends there. */
export function decodeOrc(format: OrcFormat, view: DataView): OrcEntry {
  const flags = view.getUint16(4, true);
  const spRegister = format.registers[flags & 15] ?? 'undefined';
  return {
    spOffset: view.getInt16(0, true),
    bpOffset: view.getInt16(2, true),
    spRegister,
    bpRegister: format.registers[(flags >> 4) & 15] ?? 'undefined',
    ...format.kind(flags, spRegister),
  };
}
