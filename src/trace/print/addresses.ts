import type { PrintContext } from './context.js';
import type { Wide } from './fields.js';

/** Texts of more addresses than this are made again. */
const MOST_KEPT = 1 << 14;

/** Keeps what was made of an address: the same few come again and again. */
export function kept(make: (address: Wide) => string): (address: Wide) => string {
  const known = new Map<Wide, string>();
  return (address) => {
    const before = known.get(address);
    if (before !== undefined) return before;
    const text = make(address);
    if (known.size >= MOST_KEPT) known.clear();
    known.set(address, text);
    return text;
  };
}

/**
 * An address as `%pS` (name+0x1/0x10 [module]), `%ps` (name alone) or `%pB` (the call before a return address) has it;
 * in hexadecimal where it lies in no symbol: `sprint_symbol()` of kernel/kallsyms.c.
 */
export function symbolText(context: PrintContext, form: 'S' | 's' | 'B'): (address: Wide) => string {
  return kept((address) => {
    const back = form === 'B' ? 1 : 0;
    const hit = context.names.symbol(BigInt(address) - BigInt(back));
    if (hit === undefined) return `0x${address.toString(16)}`;
    const { name, module } = hit.symbol;
    const inModule = module === undefined ? '' : ` [${module}]`;
    if (form === 's') return name + inModule;
    return `${name}+0x${(hit.offset + back).toString(16)}/0x${hit.size.toString(16)}${inModule}`;
  });
}

/** The string at an address of the traced kernel, as `%s` prints it; the address where it is not known. */
export function stringAt(context: PrintContext): (address: Wide) => string {
  return kept((address) => {
    if (address === 0) return '(null)';
    if (isNoAddress(address, context.longSize)) return '(efault)';
    return context.names.string(BigInt(address)) ?? `(0x${address.toString(16)})`;
  });
}

/** `check_pointer_msg()`: in the first page, or an error code. */
function isNoAddress(address: Wide, longSize: number): boolean {
  return address < 4096 || isError(address, longSize);
}

/** `IS_ERR_VALUE()`: of the last 4095 addresses. */
function isError(address: Wide, longSize: number): boolean {
  return longSize === 8 ? address >= 0xffff_ffff_ffff_f001n : address >= 0xffff_f001;
}

/** Hashes of more pointers than this are computed again. */
const MOST_HASHES = 1 << 16;

/** What is printed for a pointer by a kernel that has no key yet to hash it: until it has random numbers. */
const NO_KEY = '(____ptrval____)';
const NO_KEY_32 = '(ptrval)';

/**
 * What `%p` prints in place of a pointer: its hash, or a text where the kernel had no key. Null and error codes are
 * printed as they are; so is everything where the key is not known: `ptr_to_id()` of lib/vsprintf.c.
 */
export function hashedPointer({ names, longSize }: PrintContext): (address: Wide) => Wide | string {
  if (names.hashPointer === undefined) return (address) => address;
  const { hashPointer } = names;
  const known = new Map<Wide, Wide | string>();
  return (address) => {
    const before = known.get(address);
    if (before !== undefined) return before;
    const as = address === 0 || isError(address, longSize) ? address : hashPointer(BigInt(address));
    const shown = as ?? (longSize === 8 ? NO_KEY : NO_KEY_32);
    if (known.size >= MOST_HASHES) known.clear();
    known.set(address, shown);
    return shown;
  };
}
