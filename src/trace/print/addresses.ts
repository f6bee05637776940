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
export function isError(address: Wide, longSize: number): boolean {
  return longSize === 8 ? address >= 0xffff_ffff_ffff_f001n : address >= 0xffff_f001;
}

/** What `%p` prints in place of a pointer: its hash, if the kernel hashes and the hash's key is known. */
export function pointerShown(context: PrintContext): (address: Wide) => Wide {
  const { names, longSize, options } = context;
  if (options !== undefined && !options.has('hash-ptr')) return (address) => address;
  return (address) => {
    if (address === 0 || isError(address, longSize)) return address;
    return names.hashPointer?.(BigInt(address)) ?? address;
  };
}
