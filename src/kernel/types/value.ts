import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { type Btf, BtfKind, type BtfMember } from './btf.js';

/** What a type's bytes say, before it is put into words. */
export type Value =
  | {
      readonly kind: 'integer';
      readonly value: bigint;
      readonly bytes: number;
      readonly char: boolean;
      readonly boolean: boolean;
    }
  | { readonly kind: 'pointer'; readonly value: bigint; readonly toChar: boolean }
  | { readonly kind: 'enum'; readonly value: bigint; readonly name: string | undefined }
  | { readonly kind: 'float'; readonly value: number | undefined }
  | { readonly kind: 'characters'; readonly bytes: Uint8Array }
  | { readonly kind: 'struct'; readonly members: readonly { readonly name: string; readonly value: Value }[] }
  | { readonly kind: 'array'; readonly elements: readonly { readonly value: Value; readonly times: number }[] }
  | { readonly kind: 'nothing' };

const DEEPEST = 32;
/** Structures of the kernel have fewer values; what has more is damage in its type information. */
const MOST_VALUES = 1 << 18;
/** Fewer equal elements in a row are shown one by one, as gdb and crash do. */
const REPEATS = 10;

/**
 * The value of a type in `bytes`, which begin with it; for a bit field, its first bit and width in bits.
 * Throws EXH_BAD_STRUCTURE when the type information is nested without end or reaches past the bytes.
 */
export function readValue(
  btf: Btf,
  typeId: number,
  bytes: Uint8Array,
  littleEndian: boolean,
  bits: { readonly offset: number; readonly size: number } = { offset: 0, size: 0 },
): Value {
  return new Reader(btf, viewOf(bytes), littleEndian).value(typeId, bits.offset, bits.size, 0);
}

class Reader {
  private left = MOST_VALUES;

  constructor(
    private readonly btf: Btf,
    private readonly view: DataView,
    private readonly littleEndian: boolean,
  ) {}

  value(typeId: number, bitOffset: number, bitSize: number, depth: number): Value {
    if (depth > DEEPEST || --this.left < 0) throw bad('is nested without end');
    const { btf } = this;
    const id = btf.resolve(typeId);
    const kind = btf.kind(id);
    const size = btf.size(id) ?? 0;
    switch (kind) {
      case BtfKind.Int: {
        const { char, boolean, signed, bits } = btf.integer(id);
        const value = this.integer(bitOffset, bitSize > 0 ? bitSize : bits, signed);
        return { kind: 'integer', value, bytes: size, char: char || (size === 1 && !boolean), boolean };
      }
      case BtfKind.Enum:
      case BtfKind.Enum64: {
        const value = this.integer(bitOffset, bitSize > 0 ? bitSize : size * 8, btf.flag(id));
        return { kind: 'enum', value, name: this.enumerator(id, value) };
      }
      case BtfKind.Pointer:
        return { kind: 'pointer', value: this.integer(bitOffset, 64, false), toChar: this.isChar(btf.target(id)) };
      case BtfKind.Float:
        return { kind: 'float', value: this.float(bitOffset, size) };
      case BtfKind.Struct:
      case BtfKind.Union:
        return { kind: 'struct', members: [...btf.members(id)].map((member) => this.member(member, bitOffset, depth)) };
      case BtfKind.Array:
        return this.array(id, bitOffset, depth);
      default:
        return { kind: 'nothing' };
    }
  }

  private member(member: BtfMember, base: number, depth: number): { name: string; value: Value } {
    return { name: member.name, value: this.value(member.typeId, base + member.bitOffset, member.bitSize, depth + 1) };
  }

  /** Equal elements in a row are told by their bytes and read once. */
  private array(id: number, bitOffset: number, depth: number): Value {
    const { btf } = this;
    const element = btf.target(id);
    const size = btf.size(element) ?? 0;
    const count = size === 0 ? 0 : btf.elementCount(id);
    const start = bitOffset >>> 3;
    if (start + count * size > this.view.byteLength) throw bad('reaches past its end');
    if (this.isChar(element)) return { kind: 'characters', bytes: this.slice(start, count) };
    const elements: { value: Value; times: number }[] = [];
    for (let index = 0; index < count; ) {
      let times = 1;
      while (index + times < count && this.same(start + index * size, start + (index + times) * size, size)) times++;
      const value = this.value(element, (start + index * size) * 8, 0, depth + 1);
      if (times >= REPEATS) elements.push({ value, times });
      else for (let left = times; left > 0; left--) elements.push({ value, times: 1 });
      index += times;
    }
    return { kind: 'array', elements };
  }

  private isChar(typeId: number): boolean {
    const id = this.btf.resolve(typeId);
    if (this.btf.kind(id) !== BtfKind.Int || this.btf.size(id) !== 1) return false;
    return !this.btf.integer(id).boolean;
  }

  private slice(start: number, length: number): Uint8Array {
    return new Uint8Array(this.view.buffer, this.view.byteOffset + start, length);
  }

  private same(one: number, other: number, length: number): boolean {
    const { view } = this;
    for (let at = 0; at < length; at++) if (view.getUint8(one + at) !== view.getUint8(other + at)) return false;
    return true;
  }

  /** Bits counted from the lowest on a little-endian machine, from the highest on a big-endian one. */
  private integer(bitOffset: number, bits: number, signed: boolean): bigint {
    if (bits === 0) return 0n;
    const first = bitOffset >>> 3;
    const length = ((bitOffset + bits + 7) >>> 3) - first;
    if (first + length > this.view.byteLength) throw bad('reaches past its end');
    let value = 0n;
    for (let index = 0; index < length; index++) {
      value = (value << 8n) | BigInt(this.view.getUint8(first + (this.littleEndian ? length - 1 - index : index)));
    }
    const skip = this.littleEndian ? bitOffset & 7 : length * 8 - (bitOffset & 7) - bits;
    value >>= BigInt(skip);
    return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
  }

  private float(bitOffset: number, size: number): number | undefined {
    const at = bitOffset >>> 3;
    if (at + size > this.view.byteLength) throw bad('reaches past its end');
    if (size === 8) return this.view.getFloat64(at, this.littleEndian);
    return size === 4 ? this.view.getFloat32(at, this.littleEndian) : undefined;
  }

  private enumerator(id: number, value: bigint): string | undefined {
    for (const one of this.btf.enumerators(id)) if (one.value === value) return one.name;
    return undefined;
  }
}

function bad(reason: string): ExhumeError {
  return new ExhumeError('EXH_BAD_STRUCTURE', `BTF: a type ${reason}`);
}
