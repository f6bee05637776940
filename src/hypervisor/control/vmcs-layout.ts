import type { AccessRightsForm } from './access-rights.js';
import { fieldNamed, VMCS_FIELDS, type VmcsField } from './vmcs-fields.js';

/** Bytes of a VMCS region: what KVM allocates; no processor's is larger. */
export const VMCS_BYTES = 4096;
/** The revision identifier is bits 30:0 of the first word; bit 31 marks a shadow VMCS. */
export const REVISION_MASK = 0x7fff_ffff;

/** Where one kind of processor (or emulator of one) keeps each field of a VMCS. */
export interface VmcsLayout {
  /** `Haswell to Coffee Lake`, `Bochs 2.7`, `VMCSINFO`. */
  readonly name: string;
  /** Revision identifiers that are known to come with it; a sign, never a key. */
  readonly revisions: readonly number[];
  /** Byte offsets in the page by field encoding. Never all fields: no processor has all. */
  readonly offsets: ReadonlyMap<number, number>;
  /**
   * How access rights are stored. Undefined: to be told from the page, because processor models of one emulator differ,
   * or because a value that was measured does not say.
   */
  readonly accessRights: AccessRightsForm | undefined;
  /** Bytes of each stored access-rights field. */
  readonly accessRightsBytes: 2 | 4;
  /** Where it is known from. */
  readonly source: string;
}

/** Fields at `first`, `first + stride`, …; `-` is a place that no field is known to have. */
export type LayoutRun = readonly [first: number, stride: number, names: string];

/** A layout's offsets out of runs of fields. Throws at load where a name is wrong or a field lies outside the page. */
export function offsetsOf(runs: readonly LayoutRun[]): Map<number, number> {
  const offsets = new Map<number, number>();
  for (const [first, stride, names] of runs) {
    for (const [i, name] of names.split(' ').entries()) {
      if (name === '-') continue;
      const field = fieldNamed(name);
      const offset = first + i * stride;
      if (field === undefined || offset < 8 || offset + field.width / 8 > VMCS_BYTES || offsets.has(field.encoding)) {
        throw new Error(`${name} cannot be at ${offset} in a VMCS`);
      }
      offsets.set(field.encoding, offset);
    }
  }
  return offsets;
}

/** The eight segment registers, in the order of their fields; `prefix` and `suffix` around `ES` … `TR`. */
export function segmentFields(prefix: string, suffix: string): readonly string[] {
  return SEGMENTS.map((name) => `${prefix}${name}${suffix}`);
}

const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'] as const;

/** Is it one of the eight fields of access rights? */
export function isAccessRights(field: VmcsField): boolean {
  return field.encoding >= 0x4814 && field.encoding <= 0x4822;
}

/** Fields of a layout, by ascending offset. */
export function fieldsByOffset(layout: VmcsLayout): { readonly field: VmcsField; readonly offset: number }[] {
  return VMCS_FIELDS.flatMap((field) => {
    const offset = layout.offsets.get(field.encoding);
    return offset === undefined ? [] : [{ field, offset }];
  }).sort((a, b) => a.offset - b.offset);
}

/** Reads fields of one VMCS page by name. */
export class VmcsPage {
  private readonly view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    readonly layout: VmcsLayout,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, VMCS_BYTES));
  }

  /** What is stored for a field, as it stands; undefined where the layout does not know it. */
  stored(field: VmcsField): bigint | undefined {
    const offset = this.layout.offsets.get(field.encoding);
    const bytes = isAccessRights(field) ? this.layout.accessRightsBytes : field.width / 8;
    if (offset === undefined || offset + bytes > this.view.byteLength) return undefined;
    if (bytes === 2) return BigInt(this.view.getUint16(offset, true));
    if (bytes === 4) return BigInt(this.view.getUint32(offset, true));
    return this.view.getBigUint64(offset, true);
  }

  /** The same by name. Throws at a name that is no field's: a mistake of ours. */
  get(name: string): bigint | undefined {
    const field = fieldNamed(name);
    if (field === undefined) throw new Error(`no VMCS field is called ${name}`);
    return this.stored(field);
  }

  /** As `get`, as a number: for fields of 16 and 32 bits. */
  number(name: string): number | undefined {
    const value = this.get(name);
    return value === undefined ? undefined : Number(value);
  }
}
