import { type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import type { SymbolTable } from '../kernel/symbols.js';

/**
 * An address as people write it: `jiffies`, `init_task+0x40`, `schedule-8`, `0xffffffff81000000`, `ffffffff81000000`.
 * A name that is a symbol is that symbol, even where its letters are hexadecimal digits; offsets are decimal unless `0x…`.
 * Throws EXH_NO_SYMBOL for a name that the kernel does not have, EXH_USAGE for what is neither.
 */
export function parseAddress(text: string, symbols: SymbolTable | undefined): VirtualAddress {
  const [, base = text, sign, offset] = /^(.+?)([+-])(0x[0-9a-f]+|[0-9]+)$/i.exec(text) ?? [];
  const start = symbols?.address(base) ?? literal(base);
  if (start === undefined) throw unknown(base, symbols);
  const distance = offset === undefined ? 0n : BigInt(offset);
  return virtualAddress(sign === '-' ? start - distance : start + distance);
}

/** A physical address, a table root: hexadecimal digits with or without `0x`, and no symbols. */
export function parseHex(text: string): bigint {
  const value = literal(text);
  if (value === undefined) {
    throw new ExhumeError('EXH_USAGE', `"${text}" is not a hexadecimal address`, {
      found: text,
      hint: 'write it as 0x1000 or 1000',
    });
  }
  return value;
}

function literal(text: string): bigint | undefined {
  const [, digits] = /^(?:0x)?([0-9a-f]{1,16})$/i.exec(text) ?? [];
  return digits === undefined ? undefined : BigInt(`0x${digits}`);
}

function unknown(name: string, symbols: SymbolTable | undefined): ExhumeError {
  if (!/^[A-Za-z_.$][\w.$]*$/.test(name)) {
    return new ExhumeError('EXH_USAGE', `"${name}" is neither a symbol nor a hexadecimal address`, { found: name });
  }
  if (symbols === undefined || symbols.size === 0) {
    return new ExhumeError('EXH_NO_SYMBOL', `no symbols were found in this dump, so not "${name}" either`, {
      found: name,
      hint: '`exhume info FILE` shows where they were looked for; addresses work without symbols',
    });
  }
  return new ExhumeError('EXH_NO_SYMBOL', `this kernel has no symbol "${name}"`, {
    found: name,
    hint: `look for it with: exhume sym FILE --grep ${name}`,
  });
}
