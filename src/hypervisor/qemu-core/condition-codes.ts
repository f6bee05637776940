/**
 * The arithmetic flags of a CPU that QEMU emulates. The translator computes them only when they are asked for: it keeps
 * which kind of operation was the last (cc_op), its result and its operands (QEMU target/i386/tcg/cc_helper.c).
 */

const C = 0x001n;
const P = 0x004n;
const A = 0x010n;
const Z = 0x040n;
const S = 0x080n;
const O = 0x800n;
/** The flags that are kept lazily. */
export const LAZY_FLAGS = C | P | A | Z | S | O;

type Kind =
  | 'flags'
  | 'adcx'
  | 'adox'
  | 'adcox'
  | 'mul'
  | 'add'
  | 'adc'
  | 'sub'
  | 'sbb'
  | 'logic'
  | 'inc'
  | 'dec'
  | 'shl'
  | 'sar'
  | 'bmilg'
  | 'blsi'
  | 'clear'
  | 'popcnt';

/** An operation: what it was, and on how many bits. */
interface Operation {
  readonly kind: Kind;
  readonly bits: 8 | 16 | 32 | 64;
}

const SIZES = [8, 16, 32, 64] as const;

/** The kinds in the order of their numbers: a name alone stands for one number, `x*` for four, by size. */
function numbering(first: number, names: string): ReadonlyMap<number, Operation> {
  const numbers = new Map<number, Operation>();
  let next = first;
  for (const name of names.split(' ')) {
    const kind = name.replace('*', '') as Kind;
    for (const bits of name.endsWith('*') ? SIZES : [64 as const]) numbers.set(next++, { kind, bits });
  }
  return numbers;
}

const ARITHMETIC = 'mul* add* adc* sub* sbb* logic* inc* dec* shl* sar*';

/** `CCOp` has been numbered anew from time to time (QEMU target/i386/cpu.h). Which it is, is told by what fits. */
export const NUMBERINGS: readonly ReadonlyMap<number, Operation>[] = [
  numbering(0, `flags adcx adox adcox ${ARITHMETIC} bmilg* blsi* popcnt*`),
  numbering(1, `flags adcx adox adcox ${ARITHMETIC} bmilg* blsi* popcnt*`),
  numbering(1, `flags ${ARITHMETIC} bmilg* adcx adox adcox clear popcnt`),
];

/** The state that the flags are computed from. */
export interface ConditionState {
  readonly op: number;
  readonly dst: bigint;
  readonly src: bigint;
  readonly src2: bigint;
}

/** Can a CPU at rest be in this state, in this numbering? */
export function fits(numbers: ReadonlyMap<number, Operation>, { op, src, dst, src2 }: ConditionState): boolean {
  switch (numbers.get(op)?.kind) {
    case undefined:
      return false;
    case 'flags':
      return (src & ~LAZY_FLAGS) === 0n;
    case 'adcx':
    case 'adox':
    case 'adcox':
      return (src & ~LAZY_FLAGS) === 0n && dst <= 1n && src2 <= 1n;
    case 'adc':
    case 'sbb':
      return src2 <= 1n;
    case 'inc':
    case 'dec':
      return src <= 1n;
    default:
      return true;
  }
}

/** The flags that a state stands for. */
export function conditionFlags(numbers: ReadonlyMap<number, Operation>, state: ConditionState): bigint | undefined {
  const operation = numbers.get(state.op);
  if (operation === undefined) return undefined;
  const { kind, bits } = operation;
  const cut = (value: bigint): bigint => BigInt.asUintN(bits, value);
  const dst = cut(state.dst);
  const src = cut(state.src);
  const carry = state.src2 & 1n;
  const sign = (value: bigint): bigint => (value >> BigInt(bits - 1)) & 1n;
  /** P, Z and S are of the result in all of these. */
  const result = parity(dst) | (dst === 0n ? Z : 0n) | (sign(dst) === 1n ? S : 0n);
  const flags = (c: boolean, a: bigint, o: bigint): bigint => result | (c ? C : 0n) | (a & A) | (o === 1n ? O : 0n);
  switch (kind) {
    case 'flags':
      return state.src & LAZY_FLAGS;
    case 'adcx':
      return (state.src & LAZY_FLAGS & ~C) | (state.dst & 1n);
    case 'adox':
      return (state.src & LAZY_FLAGS & ~O) | (carry * O);
    case 'adcox':
      return (state.src & LAZY_FLAGS & ~(C | O)) | (state.dst & 1n) | (carry * O);
    case 'mul':
      return flags(src !== 0n, 0n, src !== 0n ? 1n : 0n);
    case 'add':
    case 'adc': {
      const in1 = kind === 'adc' ? carry : 0n;
      const other = cut(dst - src - in1);
      const out = in1 === 1n ? dst <= src : dst < src;
      return flags(out, dst ^ src ^ other, sign((src ^ ~other) & (src ^ dst)));
    }
    case 'sub':
    case 'sbb': {
      const in1 = kind === 'sbb' ? carry : 0n;
      const first = cut(dst + src + in1);
      const out = in1 === 1n ? first <= src : first < src;
      return flags(out, dst ^ src ^ first, sign((first ^ src) & (first ^ dst)));
    }
    case 'logic':
      return flags(false, 0n, 0n);
    case 'inc':
      return flags(src !== 0n, dst ^ cut(dst - 1n) ^ 1n, dst === 1n << BigInt(bits - 1) ? 1n : 0n);
    case 'dec':
      return flags(src !== 0n, dst ^ cut(dst + 1n) ^ 1n, dst === (1n << BigInt(bits - 1)) - 1n ? 1n : 0n);
    case 'shl':
      return flags(sign(src) === 1n, 0n, sign(src ^ dst));
    case 'sar':
      return flags((src & 1n) === 1n, 0n, sign(src ^ dst));
    case 'bmilg':
      return flags(src === 0n, 0n, 0n) & ~P;
    case 'blsi':
      return flags(src !== 0n, 0n, 0n) & ~P;
    case 'clear':
      return Z | P;
    case 'popcnt':
      // Its own number in the old order, where the value is the source; by size later, where it is the result.
      return (bits === 64 && !numbers.has(0) && numbers.get(2)?.kind === 'mul' ? src : dst) === 0n ? Z : 0n;
  }
}

/** Set when the lowest byte has an even number of ones. */
function parity(value: bigint): bigint {
  let byte = Number(value & 0xffn);
  byte ^= byte >> 4;
  byte ^= byte >> 2;
  byte ^= byte >> 1;
  return (byte & 1) === 0 ? P : 0n;
}
