import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import { type Field, noLayout, type StructType } from './kernel-types.js';

/**
 * A structure in the dead kernel's memory: a type at an address.
 *
 * Members are named by paths: `.` goes into an embedded structure, `->` through a pointer: `task.int('signal->nr_threads')`.
 * Reading throws EXH_NO_LAYOUT for a member that this kernel's type does not have (ask `has` first where that is
 * ordinary), EXH_NOT_MAPPED and the page errors for memory that is not there.
 */
export class Struct {
  constructor(
    readonly memory: VirtualMemory,
    readonly type: StructType,
    readonly address: VirtualAddress,
  ) {}

  /** Has this kernel's type such a member? Pointers on the way are not followed, only their types. */
  has(path: string): boolean {
    let type: StructType | undefined = this.type;
    const steps = path.split('->');
    for (const [index, step] of steps.entries()) {
      const field: Field | undefined = type?.field(step);
      if (type === undefined || field === undefined) return false;
      if (index < steps.length - 1) type = type.structOf(field);
    }
    return true;
  }

  /** An integer, enumeration or bit field of up to 53 bits of value, as a number; larger values lose their low bits. */
  int(path: string): number {
    const { base, field } = this.locate(path);
    return readInteger(this.memory, base.address, field);
  }

  /** An integer of up to 64 bits; unsigned types are never negative. */
  big(path: string): bigint {
    const { base, field } = this.locate(path);
    if (field.bitSize > 0 || field.size < 8) return BigInt(readInteger(this.memory, base.address, field));
    const at = base.address + BigInt(field.offset);
    return field.signed ? this.memory.i64(at) : this.memory.u64(at);
  }

  /** A pointer's value; 0n is NULL. */
  pointer(path: string): VirtualAddress {
    return this.memory.pointer(this.addressOf(path));
  }

  /** The structure that a pointer leads to; undefined for NULL. */
  follow(path: string): Struct | undefined {
    const { base, field } = this.locate(path);
    const address = this.memory.pointer(base.address + BigInt(field.offset));
    if (address === 0n) return undefined;
    const type = base.type.structOf(field);
    if (type === undefined) throw noLayout(`structure that ${base.type.name}.${field.path} points at`);
    return new Struct(this.memory, type, address);
  }

  /** An embedded structure. */
  member(path: string): Struct {
    const { base, field } = this.locate(path);
    const type = base.type.structOf(field);
    if (type === undefined || field.kind === 'pointer') throw noLayout(`structure ${base.type.name}.${field.path}`);
    return new Struct(this.memory, type, virtualAddress(base.address + BigInt(field.offset)));
  }

  /** A string: an array of characters (read to its NUL or its end), or what a `char *` points at; '' for NULL. */
  string(path: string, limit = 4096): string {
    const { base, field } = this.locate(path);
    const at = base.address + BigInt(field.offset);
    if (field.kind !== 'pointer') return this.memory.string(at, field.size > 0 ? field.size : limit);
    const pointer = this.memory.pointer(at);
    return pointer === 0n ? '' : this.memory.string(pointer, limit);
  }

  /** Where a member lies. */
  addressOf(path: string): VirtualAddress {
    const { base, field } = this.locate(path);
    return virtualAddress(base.address + BigInt(field.offset));
  }

  /** The bytes of a member. */
  bytes(path: string): Uint8Array {
    const { base, field } = this.locate(path);
    return this.memory.bytes(base.address + BigInt(field.offset), field.size);
  }

  /** The structure of another type at the same address. */
  as(type: StructType): Struct {
    return new Struct(this.memory, type, this.address);
  }

  /** The structure and field that a path ends at, pointers on the way followed. */
  private locate(path: string): { readonly base: Struct; readonly field: Field } {
    const arrow = path.indexOf('->');
    if (arrow < 0) return { base: this, field: this.type.require(path) };
    const next = this.follow(path.slice(0, arrow));
    if (next === undefined) {
      // Reading through NULL faults as it would have in the kernel, at the member's offset.
      const field = this.type.require(path.slice(0, arrow));
      const type = this.type.structOf(field) ?? this.type;
      return new Struct(this.memory, type, virtualAddress(0n)).locate(path.slice(arrow + 2));
    }
    return next.locate(path.slice(arrow + 2));
  }
}

/** The structure that a member at `address` belongs to: `container_of()`. Throws EXH_NO_LAYOUT. */
export function containerOf(memory: VirtualMemory, type: StructType, member: string, address: bigint): Struct {
  return new Struct(memory, type, virtualAddress(address - BigInt(type.require(member).offset)));
}

function readInteger(memory: VirtualMemory, base: bigint, field: Field): number {
  if (field.bitSize > 0) return readBits(memory, base, field);
  const at = base + BigInt(field.offset);
  switch (field.size) {
    case 1:
      return field.signed ? (memory.u8(at) << 24) >> 24 : memory.u8(at);
    case 2:
      return field.signed ? (memory.u16(at) << 16) >> 16 : memory.u16(at);
    case 4:
      return field.signed ? memory.i32(at) : memory.u32(at);
    default:
      return Number(field.signed ? memory.i64(at) : memory.u64(at));
  }
}

/** A bit field of up to 53 bits, counted from the lowest bit on a little-endian machine. */
function readBits(memory: VirtualMemory, base: bigint, { bitOffset, bitSize, signed }: Field): number {
  const first = bitOffset >>> 3;
  const length = ((bitOffset + bitSize + 7) >>> 3) - first;
  const bytes = memory.bytes(base + BigInt(first), length);
  let value = 0n;
  for (let index = 0; index < length; index++) {
    const byte = BigInt(bytes[memory.littleEndian ? length - 1 - index : index] ?? 0);
    value = (value << 8n) | byte;
  }
  const skip = memory.littleEndian ? bitOffset & 7 : length * 8 - (bitOffset & 7) - bitSize;
  value >>= BigInt(skip);
  return Number(signed ? BigInt.asIntN(bitSize, value) : BigInt.asUintN(bitSize, value));
}
