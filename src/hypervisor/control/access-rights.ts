/**
 * A segment's access rights, as a VMCS field has them (Intel SDM vol. 3, "Guest Register State"): bits 3:0 type, 4 S,
 * 6:5 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G, 16 unusable. Processors do not store them so: Penryn, Nehalem and their
 * next rotate them left by 8, Haswell and later pack them into 16 bits with "unusable" at bit 11 (Bochs cpu/vmx.cc,
 * which imitates both).
 */

export type AccessRightsForm = 'plain' | 'rotated' | 'packed';

export const UNUSABLE = 0x1_0000;
const PRESENT = 0x80;
const CODE_OR_DATA = 0x10;
/** Bits that are reserved in a field: 11:8 and 31:17. */
const RESERVED = 0xfffe_0f00;
const PACKED_UNUSABLE = 0x800;
/** Bits that are reserved in the packed form: 10:8. */
const PACKED_RESERVED = 0x700;

/** What the field reads as, out of what is stored. `packed` takes the low 16 bits. */
export function unpackAccessRights(stored: number, form: AccessRightsForm): number {
  if (form === 'rotated') return ((stored >>> 8) | (stored << 24)) >>> 0;
  if (form === 'plain') return stored >>> 0;
  return (stored & 0xf0ff) | ((stored & PACKED_UNUSABLE) === 0 ? 0 : UNUSABLE);
}

/** What is stored for a field. */
export function packAccessRights(rights: number, form: AccessRightsForm): number {
  if (form === 'rotated') return ((rights << 8) | (rights >>> 24)) >>> 0;
  if (form === 'plain') return rights >>> 0;
  return (rights & 0xf0ff) | ((rights & UNUSABLE) === 0 ? 0 : PACKED_UNUSABLE);
}

/** Can what is stored have come from access rights? In the wrong form reserved bits are set. */
export function areAccessRights(stored: number, form: AccessRightsForm): boolean {
  if (form === 'packed' && (stored & PACKED_RESERVED) !== 0) return false;
  const rights = unpackAccessRights(stored, form);
  return (rights & RESERVED) === 0 && (rights & (UNUSABLE | PRESENT)) !== 0;
}

/**
 * The form in which a guest's access rights are stored, by their meaning: the code segment is usable code, present; the
 * task register holds a busy TSS. Undefined: in no form. Zeros mean nothing and pass in none.
 */
export function accessRightsForm(code: number, task: number): AccessRightsForm | undefined {
  return FORMS.find((form) => {
    if (!areAccessRights(code, form) || !areAccessRights(task, form)) return false;
    const cs = unpackAccessRights(code, form);
    const tr = unpackAccessRights(task, form);
    // In real mode the code segment is data to the processor: type 3.
    const isCode = (cs & CODE_OR_DATA) !== 0 && (cs & UNUSABLE) === 0 && ((cs & 8) !== 0 || (cs & 15) === 3);
    return isCode && (tr & (UNUSABLE | CODE_OR_DATA)) === 0 && ((tr & 15) === 11 || (tr & 15) === 3);
  });
}

const FORMS = ['plain', 'packed', 'rotated'] as const;

/** Access rights as the high double word of a segment descriptor, as dumps keep them; 0 for an unusable segment. */
export function descriptorFlags(rights: number): number {
  return (rights & UNUSABLE) !== 0 ? 0 : ((rights & 0xff) << 8) | ((rights & 0xf000) << 8);
}
