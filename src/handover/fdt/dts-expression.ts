type Operator = (left: bigint, right: bigint) => bigint;

const truth = (value: boolean): bigint => (value ? 1n : 0n);
const whole = (value: bigint): bigint => BigInt.asUintN(64, value);

/** C's binary operators on unsigned numbers of 64 bits, as dtc-parser.y computes them; the weakest first. */
const LEVELS: readonly Readonly<Record<string, Operator>>[] = [
  { '||': (a, b) => truth(a !== 0n || b !== 0n) },
  { '&&': (a, b) => truth(a !== 0n && b !== 0n) },
  { '|': (a, b) => a | b },
  { '^': (a, b) => a ^ b },
  { '&': (a, b) => a & b },
  { '==': (a, b) => truth(a === b), '!=': (a, b) => truth(a !== b) },
  {
    '<': (a, b) => truth(a < b),
    '>': (a, b) => truth(a > b),
    '<=': (a, b) => truth(a <= b),
    '>=': (a, b) => truth(a >= b),
  },
  { '<<': (a, b) => (b < 64n ? whole(a << b) : 0n), '>>': (a, b) => (b < 64n ? a >> b : 0n) },
  { '+': (a, b) => whole(a + b), '-': (a, b) => whole(a - b) },
  // Who divides by 0 is refused before.
  { '*': (a, b) => whole(a * b), '/': (a, b) => a / b, '%': (a, b) => a % b },
];

export interface BinaryOperator {
  /** The stronger it binds, the higher. */
  readonly level: number;
  readonly divides: boolean;
  readonly compute: Operator;
}

export const BINARY: ReadonlyMap<string, BinaryOperator> = new Map(
  LEVELS.flatMap((signs, level) =>
    Object.entries(signs).map(([sign, compute]) => [sign, { level, divides: sign === '/' || sign === '%', compute }]),
  ),
);

export const UNARY: ReadonlyMap<string, (value: bigint) => bigint> = new Map([
  ['-', (value) => whole(-value)],
  ['~', (value) => whole(~value)],
  ['!', (value) => truth(value === 0n)],
]);
