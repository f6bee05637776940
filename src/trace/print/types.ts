import type { PrintContext } from './context.js';
import { sizeOfType } from './fields.js';
import { Unfollowable } from './unfollowable.js';
import { type CType, VOID } from './values.js';

const UNSIGNED =
  /\bunsigned\b|^(?:__)?u\d+$|^(?:__)?[bl]e\d+$|^uint\d+_t$|^u(?:int|long|short|char|id_t)$|^(?:bool|_Bool|size_t|uintptr_t|gfp_t|dev_t|gid_t|umode_t|sector_t|dma_addr_t|phys_addr_t|resource_size_t|pgoff_t)$|^enum /;

/** A type by its C name: `unsigned long`, `struct page`, `u8`, `const char *`. Throws Unfollowable for one that is not known. */
export function typeNamed(name: string, context: PrintContext): CType {
  const plain = name
    .replace(/\b(const|volatile)\b/g, '')
    .replace(/\s+/g, ' ')
    .trim();
  if (plain.endsWith('*')) return { kind: 'pointer', to: pointee(plain.slice(0, -1).trim(), context) };
  if (plain === 'void') return VOID;
  if (/^(struct|union) /.test(plain)) {
    return { kind: 'struct', name: plain, size: context.names.type?.(plain)?.size };
  }
  if (plain === 'bool' || plain === '_Bool') return { kind: 'int', size: 1, signed: false, boolean: true };
  const size = sizeOfType(plain, context.longSize);
  if (size !== undefined) return { kind: 'int', size, signed: !UNSIGNED.test(plain) };
  const known = context.names.type?.(plain);
  if (known === undefined) throw new Unfollowable(`the type ${plain} is not known`);
  return [1, 2, 4, 8].includes(known.size)
    ? { kind: 'int', ...known }
    : { kind: 'struct', name: plain, size: known.size };
}

/** What a pointer points to may well be unknown. */
function pointee(name: string, context: PrintContext): CType {
  try {
    return typeNamed(name, context);
  } catch (error) {
    if (error instanceof Unfollowable) return { kind: 'struct', name, size: undefined };
    throw error;
  }
}

/** In bytes. Throws Unfollowable where it is not known. */
export function sizeOfCType(type: CType, longSize: number): number {
  switch (type.kind) {
    case 'int':
      return type.size;
    case 'pointer':
      return longSize;
    case 'void':
      return 1;
    case 'struct':
      if (type.size === undefined) throw new Unfollowable(`the size of ${type.name} is not known`);
      return type.size;
  }
}
