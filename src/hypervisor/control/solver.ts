import { type AccessRightsForm, accessRightsForm, unpackAccessRights } from './access-rights.js';
import { ARRAYS, GROUPS, type Group, PLAUSIBLE } from './solver-rules.js';
import { revisionOf } from './vmcs-consistency.js';
import { fieldNamed, VMCS_FIELDS, type VmcsField } from './vmcs-fields.js';
import { isAccessRights, segmentFields, VMCS_BYTES, type VmcsLayout } from './vmcs-layout.js';

/**
 * Derives the layout of VMCSs that no table knows, from pages of them and what the host's memory says that fields of them
 * hold: a field is where all of its values are, on all pages. What may be in more than one place is resolved by what all
 * known layouts have in common (`solver-rules.ts`), or left out.
 */

/** What the host's memory says that a field holds. */
export interface KnownValue {
  readonly value: bigint;
  /** Bits of it that are known; all when left out. */
  readonly bits?: bigint;
  /** What is stored may be less by so much: KVM has stepped over an instruction. */
  readonly behind?: bigint;
  /** Where it stands: `loaded_vmcs.host_state.cr3`. */
  readonly from: string;
}

/** A virtual CPU as a witness: its page, and what is known of it by the name of the field. */
export interface VmcsWitness {
  /** `guest 0, vCPU 1`. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly known: ReadonlyMap<string, KnownValue>;
}

/** What became of one field. */
export interface SolvedField {
  readonly field: VmcsField;
  /** Undefined: unknown, or ambiguous. */
  readonly offset: number | undefined;
  /** Told by its own values, or by the place that it has among others in every known layout. */
  readonly how: 'values' | 'place' | undefined;
  /** Where it may be, if it was looked for by its values. Empty: nowhere does it hold what it should. */
  readonly places: readonly number[];
  /** How many virtual CPUs have a value of it. */
  readonly witnesses: number;
  /** Where those values are from. */
  readonly from: readonly string[];
}

/** What is derived. */
export interface Solution {
  /** Undefined where not even the guest's RIP and CR3 are found. */
  readonly layout: VmcsLayout | undefined;
  /** Fields that were found, or that are known of: by ascending encoding. */
  readonly fields: readonly SolvedField[];
  /** Pages that it was derived from: those of the revision that most have. */
  readonly witnesses: readonly VmcsWitness[];
}

/** More tell nothing new. */
const MOST_WITNESSES = 64;
/** A smaller value may stand anywhere by chance. */
const TELLING = 0x1000n;
/** Places that are told of a field that is ambiguous. */
const MOST_PLACES = 8;
/** Each round finds a field at least, or is the last. */
const MOST_ROUNDS = VMCS_FIELDS.length;
/** Behind the revision and the abort indicator. */
const FIRST = 8;

export function solveVmcs(all: readonly VmcsWitness[]): Solution {
  const witnesses = ofOneRevision(all.filter(({ bytes }) => bytes.length >= VMCS_BYTES));
  const [first] = witnesses;
  if (first === undefined) return { layout: undefined, fields: [], witnesses };
  const solver = new Solver(witnesses);
  solver.solve();
  return { layout: solver.layout(revisionOf(first.bytes)), fields: solver.fields(), witnesses };
}

/** The witnesses of the revision that most of them have. */
function ofOneRevision(all: readonly VmcsWitness[]): VmcsWitness[] {
  const byRevision = new Map<number, VmcsWitness[]>();
  for (const witness of all) {
    const revision = revisionOf(witness.bytes);
    byRevision.set(revision, [...(byRevision.get(revision) ?? []), witness]);
  }
  const [most = []] = [...byRevision.values()].sort((a, b) => b.length - a.length);
  return most.slice(0, MOST_WITNESSES);
}

interface Claim {
  readonly offset: number;
  readonly bytes: number;
  readonly how: 'values' | 'place';
}

class Solver {
  private readonly views: readonly DataView[];
  private readonly claims = new Map<string, Claim>();
  /** Bytes of the page that a field has. */
  private readonly taken = new Uint8Array(VMCS_BYTES);
  private accessRights: AccessRightsForm | undefined;

  constructor(private readonly witnesses: readonly VmcsWitness[]) {
    this.views = witnesses.map(({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset, VMCS_BYTES));
  }

  solve(): void {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const before = this.claims.size;
      for (const group of GROUPS) this.group(group);
      this.controlRegisters();
      this.segments();
      for (const names of ARRAYS) this.array(names);
      for (const field of VMCS_FIELDS) this.single(field);
      if (this.claims.size === before) return;
    }
  }

  layout(revision: number): VmcsLayout | undefined {
    if (!this.claims.has('GUEST_RIP') || !this.claims.has('GUEST_CR3')) return undefined;
    const offsets = new Map<number, number>();
    for (const { name, encoding } of VMCS_FIELDS) {
      const claim = this.claims.get(name);
      if (claim !== undefined) offsets.set(encoding, claim.offset);
    }
    return {
      name: 'solved',
      revisions: [revision],
      offsets,
      accessRights: this.accessRights,
      accessRightsBytes: this.accessRights === 'packed' ? 2 : 4,
      source: 'derived from what the pages hold',
    };
  }

  fields(): SolvedField[] {
    return VMCS_FIELDS.flatMap((field): SolvedField[] => {
      const claim = this.claims.get(field.name);
      const known = this.witnesses.flatMap(({ known: values }) => values.get(field.name) ?? []);
      if (claim === undefined && known.length === 0) return [];
      const { offset, how } = claim ?? {};
      const places = offset === undefined ? this.places(field) : [offset];
      const from = [...new Set(known.map((value) => value.from))];
      return [{ field, offset, how, places, witnesses: known.length, from }];
    });
  }

  /** Fields that follow each other, if there is one place only where all of them may be. */
  private group({ names, strides, after }: Group): void {
    if (after !== undefined && !this.claims.has(after)) return;
    const members = names.flatMap((name) => fieldNamed(name) ?? []);
    if (members.every(({ name }) => this.claims.has(name))) return;
    const found: (readonly [base: number, stride: number])[] = [];
    for (const stride of strides) {
      for (const base of this.bases(members, stride)) found.push([base, stride]);
    }
    const [only] = found;
    if (only === undefined || found.length > 1) return;
    for (const [i, field] of members.entries()) this.claim(field, only[0] + i * only[1]);
  }

  /** Where the first of fields may be that follow each other. */
  private bases(members: readonly VmcsField[], stride: number): number[] {
    const found: number[] = [];
    const step = bytesOf(members[0]);
    for (let base = FIRST; base + (members.length - 1) * stride + step <= VMCS_BYTES; base += step) {
      if (members.every((field, i) => this.mayBe(field, base + i * stride))) found.push(base);
    }
    return found;
  }

  /** Where nothing is known of CR3: what may be the guest's may be the host's, but the guest's come first in all layouts. */
  private controlRegisters(): void {
    if (this.claims.has('HOST_CR3') || this.claims.has('GUEST_CR3')) return;
    const fields = (side: string): VmcsField[] =>
      ['CR0', 'CR3', 'CR4'].flatMap((name) => fieldNamed(`${side}_${name}`) ?? []);
    const guest = this.bases(fields('GUEST'), 8);
    const host = this.bases(fields('HOST'), 8).at(-1);
    const [first, second] = guest;
    if (guest.length !== 2 || first === undefined || host === undefined || host !== second) return;
    for (const [i, field] of fields('GUEST').entries()) this.claim(field, first + i * 8);
    for (const [i, field] of fields('HOST').entries()) this.claim(field, host + i * 8);
  }

  /** Fields between two that were found, if there is exactly as much room as they take. */
  private array(names: readonly string[]): void {
    let last: readonly [index: number, offset: number] | undefined;
    for (const [index, name] of names.entries()) {
      const offset = this.claims.get(name)?.offset;
      if (offset === undefined) continue;
      const [from, at] = last ?? [index, offset];
      const between = names.slice(from + 1, index).flatMap((one) => fieldNamed(one) ?? []);
      const fits =
        offset - at === (index - from) * 8 && between.every((field, i) => this.mayBe(field, at + (i + 1) * 8));
      if (fits) for (const [i, field] of between.entries()) this.claim(field, at + (i + 1) * 8);
      last = [index, offset];
    }
  }

  /** A field by its values alone. */
  private single(field: VmcsField): void {
    if (this.claims.has(field.name) || isAccessRights(field)) return;
    const told = field.name === 'VMCS_LINK_POINTER' || field.name === 'EPT_POINTER' || this.isTelling(field);
    const places = told ? this.places(field) : [];
    const [only] = places;
    if (only !== undefined && places.length === 1) this.claim(field, only);
  }

  /** Is what is known of the field more than small numbers that are everywhere? */
  private isTelling({ name }: VmcsField): boolean {
    const values = new Set(this.witnesses.flatMap(({ known }) => known.get(name)?.value ?? []));
    values.delete(0n);
    if (values.size > 0 && PLAUSIBLE.has(name)) return true;
    return values.size >= 2 || [...values].some((value) => value >= TELLING);
  }

  private places(field: VmcsField): number[] {
    const found: number[] = [];
    const bytes = bytesOf(field);
    for (let at = FIRST; at + bytes <= VMCS_BYTES && found.length < MOST_PLACES; at += bytes) {
      if (this.mayBe(field, at)) found.push(at);
    }
    return found;
  }

  /** Segment registers, by access rights that are code for CS and a busy TSS for TR. */
  private segments(): void {
    if (this.accessRights !== undefined) return;
    const found: (readonly [form: AccessRightsForm, at: number, record: SegmentRecord])[] = [];
    for (const record of RECORDS) {
      const { stride, bytes, names, parts } = record;
      const first = Math.max(0, ...parts.map(([, from]) => -from));
      for (let at = FIRST + first; at + stride * names.length <= VMCS_BYTES; at += bytes) {
        const form = this.formAt(record, at);
        if (form !== undefined && this.mayBeRecord(record, at, form)) found.push([form, at, record]);
      }
    }
    const [only] = found;
    if (only === undefined || found.length > 1) return;
    const [form, at, record] = only;
    this.accessRights = form;
    for (const [field, offset] of fieldsOf(record, at)) this.claim(field, offset);
  }

  /** The form of access rights that all pages have there. */
  private formAt({ stride, bytes, forms, tr }: SegmentRecord, at: number): AccessRightsForm | undefined {
    let same: AccessRightsForm | undefined;
    for (const view of this.views) {
      const code = read(view, at + stride, bytes);
      const form =
        code === 0n ? undefined : accessRightsForm(Number(code), Number(read(view, at + tr * stride, bytes)));
      // 16 bits read the same plain and packed where no segment is unusable.
      const told = form === 'plain' && forms[0] === 'packed' && (code & 0xf00n) === 0n ? 'packed' : form;
      if (told === undefined || !forms.includes(told) || (same !== undefined && told !== same)) return undefined;
      same = told;
    }
    return same;
  }

  private mayBeRecord(record: SegmentRecord, at: number, form: AccessRightsForm): boolean {
    return fieldsOf(record, at).every(([field, offset]) => {
      if (!isAccessRights(field)) return this.mayBe(field, offset);
      return this.witnesses.every(({ known }, i) => {
        const value = known.get(field.name);
        const stored = read(this.views[i] as DataView, offset, record.bytes);
        return value === undefined || holds(value, BigInt(unpackAccessRights(Number(stored), form)));
      });
    });
  }

  /** Does a place have what the field should hold, on all pages, and is it free? */
  private mayBe(field: VmcsField, at: number): boolean {
    const claim = this.claims.get(field.name);
    if (claim !== undefined) return claim.offset === at;
    const bytes = bytesOf(field);
    if (at < FIRST || at + bytes > VMCS_BYTES) return false;
    for (let i = at; i < at + bytes; i++) if (this.taken[i] !== 0) return false;
    const plausible = PLAUSIBLE.get(field.name);
    return this.witnesses.every(({ known }, i) => {
      const stored = read(this.views[i] as DataView, at, bytes);
      const value = known.get(field.name);
      return (plausible === undefined || plausible(stored)) && (value === undefined || holds(value, stored));
    });
  }

  private claim(field: VmcsField, offset: number): void {
    if (this.claims.has(field.name)) return;
    const bytes = isAccessRights(field) && this.accessRights === 'packed' ? 2 : bytesOf(field);
    const told = this.witnesses.some(({ known }) => known.has(field.name));
    this.claims.set(field.name, { offset, bytes, how: told ? 'values' : 'place' });
    this.taken.fill(1, offset, offset + bytes);
  }
}

function holds({ value, bits, behind }: KnownValue, stored: bigint): boolean {
  if (behind !== undefined) return value - stored >= 0n && value - stored <= behind;
  return bits === undefined ? stored === value : (stored & bits) === (value & bits);
}

function bytesOf(field: VmcsField | undefined): 2 | 4 | 8 {
  return field === undefined || field.width === 64 ? 8 : field.width === 32 ? 4 : 2;
}

function read(view: DataView, at: number, bytes: 2 | 4 | 8): bigint {
  if (bytes === 8) return view.getBigUint64(at, true);
  return BigInt(bytes === 4 ? view.getUint32(at, true) : view.getUint16(at, true));
}

type Part = readonly [suffix: string, from: number, step: number];

/** A way of laying out the eight segment registers, seen from the access rights of the first. */
interface SegmentRecord {
  /** From one segment's access rights to the next one's, and how many bytes they have. */
  readonly stride: number;
  readonly bytes: 2 | 4;
  readonly forms: readonly AccessRightsForm[];
  readonly names: readonly string[];
  /** Which of the eight TR is. */
  readonly tr: number;
  readonly parts: readonly Part[];
  /** Where the limit of GDTR is, and one stride further that of IDTR. */
  readonly tables?: number;
}

const SEGMENTS = segmentFields('', '');

const RECORDS: readonly SegmentRecord[] = [
  {
    ...{ stride: 24, bytes: 4, forms: ['rotated'], names: SEGMENTS, tr: 7 },
    parts: [
      ['SELECTOR', -20, 24],
      ['BASE', -12, 24],
      ['LIMIT', -4, 24],
      ['AR_BYTES', 0, 24],
    ],
  },
  {
    // Haswell and later, in an order of their own.
    ...{ stride: 16, bytes: 2, forms: ['packed'], names: ['ES', 'CS', 'SS', 'DS', 'LDTR', 'TR', 'FS', 'GS'], tr: 5 },
    parts: [
      ['SELECTOR', -2, 16],
      ['AR_BYTES', 0, 16],
      ['LIMIT', 2, 16],
      ['BASE', 6, 16],
    ],
  },
  // Limits come before, also those of GDTR and IDTR.
  ...[4, 8].map(
    (stride): SegmentRecord => ({
      ...{ stride, bytes: 4, forms: ['plain', 'rotated'], names: SEGMENTS, tr: 7 },
      parts: [
        ['LIMIT', -10 * stride, stride],
        ['AR_BYTES', 0, stride],
      ],
      tables: -2 * stride,
    }),
  ),
];

/** The fields of a record whose first access rights are at `at`, and where each is. */
function fieldsOf({ names, parts, tables, stride }: SegmentRecord, at: number): (readonly [VmcsField, number])[] {
  const places = parts.flatMap(([suffix, from, step]) =>
    names.map((name, i) => [`GUEST_${name}_${suffix}`, at + from + i * step] as const),
  );
  if (tables !== undefined) {
    places.push(['GUEST_GDTR_LIMIT', at + tables], ['GUEST_IDTR_LIMIT', at + tables + stride]);
  }
  return places.flatMap(([name, offset]): (readonly [VmcsField, number])[] => {
    const field = fieldNamed(name);
    return field === undefined ? [] : [[field, offset]];
  });
}
