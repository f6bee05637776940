import { ExhumeError } from './errors.js';

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A physical address in bytes; below 2^52, so a double holds it exactly. */
export type PhysicalAddress = Brand<number, 'PhysicalAddress'>;
/** A page frame number: a physical address divided by the page size. */
export type Pfn = Brand<number, 'Pfn'>;
/** A virtual address, unsigned: kernel addresses are `0xffff…n`, not negative. */
export type VirtualAddress = Brand<bigint, 'VirtualAddress'>;

const MAX_PHYSICAL = 2 ** 52;

/** Checks and brands a physical address. Throws EXH_BAD_ADDRESS outside 0 … 2^52-1. */
export function physicalAddress(value: number | bigint): PhysicalAddress {
  const address = Number(value);
  if (!Number.isInteger(address) || address < 0 || address >= MAX_PHYSICAL) {
    throw new ExhumeError('EXH_BAD_ADDRESS', `${hex(value)} is not a physical address (0 to 2^52-1)`, {
      address: value,
    });
  }
  return address as PhysicalAddress;
}

/** Brands a virtual address, taken modulo 2^64. */
export function virtualAddress(value: number | bigint): VirtualAddress {
  return BigInt.asUintN(64, BigInt(value)) as VirtualAddress;
}

/** Brands a page frame number. Throws EXH_BAD_ADDRESS when it is not a whole number from 0 to 2^40. */
export function pfn(value: number): Pfn {
  if (!Number.isInteger(value) || value < 0 || value > 2 ** 40) {
    throw new ExhumeError('EXH_BAD_ADDRESS', `${value} is not a page frame number`, { found: value });
  }
  return value as Pfn;
}

/** `0x…`, without padding; a negative bigint is shown with its sign. */
export function hex(value: number | bigint): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

/** Two hexadecimal digits a byte, in their order; `between` stands between them. */
export function hexBytes(bytes: Uint8Array, between = ''): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(between);
}

/** Sixteen hexadecimal digits without prefix, as crash prints addresses. */
export function hex16(value: number | bigint): string {
  return BigInt.asUintN(64, BigInt(value)).toString(16).padStart(16, '0');
}
