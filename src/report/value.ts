import { hex } from '../bytes/address.js';
import { type Damage, damageOf, ExhumeError } from '../bytes/errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { type Btf, BtfKind, type BtfMember } from '../kernel/types/btf.js';
import { readValue, type Value } from '../kernel/types/value.js';
import type { ValueReport } from './schema/types.js';
import { memberAt, type TypeRef } from './type-query.js';

export type Radix = 10 | 16;

/** Structures and arrays above this are not shown whole: none of the kernel's is as large. */
const MOST_BYTES = 1 << 22;
/** So much of a text behind a `char *` is shown; gdb's limit. */
const LONGEST_TEXT = 200;
/** Fewer NULs at an array's end are written out, as gdb does. */
const REPEATS = 10;

/** Reads and words values of one kernel. What cannot be read is told in its place and in `damage`. */
export class Values {
  readonly damage: Damage[] = [];

  constructor(
    private readonly kernel: Kernel,
    private readonly radix: Radix = 10,
  ) {}

  /** The value of a type at an address. Members of a structure that lie in missing memory are told one by one. */
  read(btf: Btf, typeId: number, address: bigint, name = '', whole?: string): ValueReport {
    const size = btf.size(typeId);
    if (size !== undefined && size > MOST_BYTES) {
      throw new ExhumeError('EXH_BAD_STRUCTURE', `a value of ${size} bytes is larger than any of a kernel`, {
        found: size,
      });
    }
    try {
      const bytes = this.kernel.memory.bytes(address, size ?? 0);
      return this.word(name, readValue(btf, typeId, bytes, this.kernel.memory.littleEndian));
    } catch (error) {
      const id = btf.resolve(typeId);
      if (!(error instanceof ExhumeError) || error.code === 'EXH_BAD_STRUCTURE') throw error;
      const kind = btf.kind(id);
      const members = kind === BtfKind.Struct && whole === undefined ? this.memberwise(btf, id, address) : undefined;
      if (members !== undefined) return { ...named(name, 'struct'), members };
      return this.missing(name, whole, error);
    }
  }

  /** A member by its path, bit fields too. Throws EXH_NO_LAYOUT for one that the type does not have. */
  member(type: TypeRef, path: string, address: bigint): ValueReport {
    const { typeId, bitOffset, bitSize } = memberAt(type, path);
    return this.field(type.btf, { name: path, typeId, bitOffset, bitSize }, address);
  }

  private field(btf: Btf, member: BtfMember, address: bigint, whole?: string): ValueReport {
    const { name, typeId, bitOffset, bitSize } = member;
    const at = address + BigInt(bitOffset >>> 3);
    if (bitSize === 0) return this.read(btf, typeId, at, name, whole ?? '');
    return this.bitField(btf, typeId, at, { offset: bitOffset & 7, size: bitSize }, name, whole);
  }

  /** A bit field whose first bit is in the byte at the address. */
  bitField(
    btf: Btf,
    typeId: number,
    address: bigint,
    bits: { readonly offset: number; readonly size: number },
    name = '',
    whole?: string,
  ): ValueReport {
    const { memory } = this.kernel;
    try {
      const bytes = memory.bytes(address, (bits.offset + bits.size + 7) >>> 3);
      return this.word(name, readValue(btf, typeId, bytes, memory.littleEndian, bits));
    } catch (error) {
      return this.missing(name, whole, error);
    }
  }

  private missing(name: string, whole: string | undefined, error: unknown): ValueReport {
    const damage = damageOf(`${whole ?? ''}${name}` || 'value', error);
    this.damage.push(damage);
    return { ...named(name, 'missing'), text: damage.message };
  }

  /** Each member for itself; undefined when not one can be read: then the whole is missing. */
  private memberwise(btf: Btf, id: number, address: bigint): ValueReport[] | undefined {
    const before = this.damage.length;
    const members = [...btf.members(id)].map((member) => this.field(btf, member, address, `${btf.name(id)}.`));
    if (members.some((member) => member.kind !== 'missing')) return members;
    this.damage.length = before;
    return undefined;
  }

  /** A value in crash's words. */
  word(name: string, value: Value, times = 1): ValueReport {
    switch (value.kind) {
      case 'integer':
        return { ...named(name, 'integer', times), ...this.integer(value) };
      case 'enum': {
        const text = value.name ?? this.number(value.value);
        return { ...named(name, 'enum', times), value: text, text };
      }
      case 'float': {
        const text = value.value === undefined ? '(long double)' : String(value.value);
        return { ...named(name, 'float', times), value: text, text };
      }
      case 'pointer':
        return { ...named(name, 'pointer', times), value: hex(value.value), text: this.pointer(value) };
      case 'characters': {
        const end = value.bytes.indexOf(0);
        const text = utf8.decode(end < 0 ? value.bytes : value.bytes.subarray(0, end));
        return { ...named(name, 'string', times), value: text, text: quoted(value.bytes) };
      }
      case 'struct':
        return {
          ...named(name, 'struct', times),
          members: value.members.map((member) => this.word(member.name, member.value)),
        };
      case 'array':
        return {
          ...named(name, 'array', times),
          members: value.elements.map((element) => this.word('', element.value, element.times)),
        };
      case 'nothing':
        return named(name, 'none', times);
    }
  }

  private integer({ value, bytes, char, boolean }: Value & { kind: 'integer' }): { value: string; text: string } {
    if (boolean && value <= 1n) return { value: String(value === 1n), text: String(value === 1n) };
    const plain = this.number(value, bytes * 8);
    if (!char || this.radix === 16) return { value: plain, text: plain };
    return { value: plain, text: `${plain} '${escaped(Number(BigInt.asUintN(8, value)), "'")}'` };
  }

  private number(value: bigint, bits = 64): string {
    return this.radix === 16 ? hex(BigInt.asUintN(bits, value)) : String(value);
  }

  /** `0xffffffff82a1aae8 <init_task+168>`, or with the text that a `char *` leads to. */
  private pointer({ value, toChar }: Value & { kind: 'pointer' }): string {
    const hit = this.kernel.symbols.at(value);
    const symbol =
      hit === undefined ? '' : ` <${hit.symbol.name}${hit.offset === 0 ? '' : `+${hit.offset.toString(10)}`}>`;
    return `${hex(value)}${symbol}${toChar && value !== 0n ? this.textAt(value) : ''}`;
  }

  private textAt(address: bigint): string {
    try {
      const text = this.kernel.memory.string(address, LONGEST_TEXT);
      return ` ${quoted(new TextEncoder().encode(text))}${text.length >= LONGEST_TEXT ? '...' : ''}`;
    } catch (error) {
      // A pointer that leads nowhere is an ordinary value.
      if (error instanceof ExhumeError) return '';
      throw error;
    }
  }
}

const utf8 = new TextDecoder();

function named(name: string, kind: ValueReport['kind'], times = 1): ValueReport {
  return { name, kind, value: null, text: null, times, members: null };
}

/** Bytes as a C string; NULs at its end are written out or counted, as gdb does: `"init", '\000' <repeats 11 times>`. */
function quoted(bytes: Uint8Array): string {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  const nuls = bytes.length - end;
  // The NUL that ends the text is not told.
  const told = nuls > 0 ? nuls - 1 : 0;
  const fold = told >= REPEATS;
  let text = '';
  for (const byte of bytes.subarray(0, fold ? end : end + told)) text += escaped(byte, '"');
  if (!fold) return `"${text}"`;
  const repeats = `'\\000' <repeats ${told} times>`;
  return text === '' ? repeats : `"${text}", ${repeats}`;
}

function escaped(byte: number, quote: string): string {
  const known = ESCAPES.get(byte);
  if (known !== undefined) return known;
  if (byte < 0x20 || byte >= 0x7f) return `\\${byte.toString(8).padStart(3, '0')}`;
  const character = String.fromCharCode(byte);
  return character === quote || character === '\\' ? `\\${character}` : character;
}

const ESCAPES: ReadonlyMap<number, string> = new Map([
  [7, '\\a'],
  [8, '\\b'],
  [9, '\\t'],
  [10, '\\n'],
  [11, '\\v'],
  [12, '\\f'],
  [13, '\\r'],
  [27, '\\033'],
]);
