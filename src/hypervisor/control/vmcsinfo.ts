import { hex, physicalAddress } from '../../bytes/address.js';
import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { bytesOf, matches } from '../../bytes/search.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { Note } from '../../dump/container.js';
import { DamageLog } from '../../dump/damage-log.js';
import type { WrittenNote } from '../../dump/description.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import { parseNotes, serializeNotes } from '../../dump/notes.js';
import { type AccessRightsForm, packAccessRights, unpackAccessRights } from './access-rights.js';
import { fieldNamed, VMCS_FIELDS, type VmcsField } from './vmcs-fields.js';
import { isAccessRights, VMCS_BYTES, type VmcsLayout } from './vmcs-layout.js';

/**
 * VMCSINFO: a processor's VMCS layout as text, by the patches of Zhang Yanfei (Fujitsu) of 2012, which Linux did not take;
 * `drivers/vmcsinfo` makes the same. A line `REVISION_ID=` and one `FIELD(NAME)=` for each field, values in hexadecimal.
 *
 * A value is no offset: it is what VMREAD gave for the field of a region that was filled with a pattern. The word at even
 * offset `o` of the pattern is `((o >> 7) << 1 | 1) << 8 | (o & 0x7f) << 1`: the lowest bit of its high byte is 1, that of
 * its low byte 0, so the order of bytes shows.
 */
export interface Vmcsinfo {
  /** The revision identifier of the processor's VMCSs. */
  readonly revision: number;
  readonly layout: VmcsLayout;
  /** Fields that no offset could be had from, and lines that are none. */
  readonly damage: readonly Damage[];
}

/** The name of the note, and its type. */
export const VMCSINFO = 'VMCSINFO';
export const VMCSINFO_TYPE = 0;

const FIRST_LINE = bytesOf('REVISION_ID=');
/** A note of all fields has 7 KiB. */
const MOST_BYTES = 65_536;
/** What `drivers/vmcsinfo` takes for it. */
export const NOTE_BYTES = 8192;
const HEADER_BYTES = 12;
const NAME_BYTES = 12;

/** The pattern's word at an even offset. */
export function patternWord(offset: number): number {
  return ((((offset >> 7) << 1) | 1) << 8) | ((offset & 0x7f) << 1);
}

/** What a field of so many bytes at `offset` reads as, in a region filled with the pattern. */
export function encodeOffset(offset: number, bytes: number): bigint {
  let value = 0n;
  for (let at = 0; at < bytes; at += 2) value |= BigInt(patternWord(offset + at)) << BigInt(at * 8);
  return value;
}

/** The offset that a value of so many bytes was read from; undefined where it is no part of the pattern. */
export function decodeOffset(value: bigint, bytes: number): number | undefined {
  const word = Number(value & 0xffffn);
  if ((word & 1) !== 0 || (word & 0x100) === 0) return undefined;
  const offset = ((word >> 9) << 7) | ((word & 0xff) >> 1);
  return offset + bytes <= VMCS_BYTES && encodeOffset(offset, bytes) === value ? offset : undefined;
}

/** Reads a note's text. Throws EXH_BAD_NOTE where it does not begin as one. */
export function parseVmcsinfo(text: Uint8Array, source: string): Vmcsinfo {
  if (!matches(text, 0, FIRST_LINE)) {
    throw new ExhumeError('EXH_BAD_NOTE', `${source}: this is no VMCSINFO: it does not begin with REVISION_ID=`, {
      expected: 'REVISION_ID=',
      hint: 'an ELF note called VMCSINFO, or its text',
    });
  }
  const damage = new DamageLog();
  const values = new Map<VmcsField, bigint>();
  let revision = 0;
  const end = text.indexOf(0);
  const lines = new TextDecoder('latin1').decode(text.subarray(0, Math.min(end < 0 ? text.length : end, MOST_BYTES)));
  for (const line of lines.split('\n')) {
    const [, id] = /^REVISION_ID=([0-9a-fA-F]{1,8})$/.exec(line) ?? [];
    const [, name = '', value] = /^FIELD\((\w+)\)=([0-9a-fA-F]{1,16})$/.exec(line) ?? [];
    const field = fieldNamed(ALIASES.get(name) ?? name);
    if (id !== undefined) revision = Number.parseInt(id, 16);
    else if (field !== undefined && value !== undefined) values.set(field, BigInt(`0x${value}`));
    else if (line !== '')
      damage.add('EXH_BAD_NOTE', VMCSINFO, `${source}: this line is not understood: ${line.slice(0, 80)}`);
  }
  return { revision, layout: layoutOf(revision, values, source, damage), damage: damage.entries };
}

/** Names that other writers have for fields. */
const ALIASES = new Map([['GUEST_PENDING_DEBUG_EXCEPTIONS', 'GUEST_PENDING_DBG_EXCEPTIONS']]);

function layoutOf(
  revision: number,
  values: ReadonlyMap<VmcsField, bigint>,
  source: string,
  damage: DamageLog,
): VmcsLayout {
  const offsets = new Map<number, number>();
  for (const [field, value] of values) {
    if (isAccessRights(field)) continue;
    const offset = decodeOffset(value, field.width / 8);
    if (offset === undefined) noOffset(field, value, source, damage);
    else offsets.set(field.encoding, offset);
  }
  const rights = [...values].filter(([field]) => isAccessRights(field));
  const form = FORMS.find((one) =>
    rights.some(([field, value]) => rightsOffset(field, value, one, offsets) !== undefined),
  );
  for (const [field, value] of rights) {
    const offset = form && rightsOffset(field, value, form, offsets);
    if (offset === undefined) noOffset(field, value, source, damage);
    else offsets.set(field.encoding, offset);
  }
  return {
    name: VMCSINFO,
    revisions: [revision],
    offsets,
    accessRights: form,
    accessRightsBytes: form === 'packed' ? 2 : 4,
    source,
  };
}

function noOffset(field: VmcsField, value: bigint, source: string, damage: DamageLog): void {
  damage.add('EXH_BAD_NOTE', VMCSINFO, `${source}: ${field.name}=${hex(value)} is no offset`);
}

const FORMS = ['plain', 'rotated', 'packed'] as const;

/**
 * Where a field of access rights was read from, if it is stored in this form. Packed ones read without bits 10:8, two of
 * which are part of the pattern: of the four places that are left it is the one next to the segment's selector.
 */
function rightsOffset(
  field: VmcsField,
  value: bigint,
  form: AccessRightsForm,
  offsets: ReadonlyMap<number, number>,
): number | undefined {
  if (value >= 2n ** 32n) return undefined;
  if (form !== 'packed') return decodeOffset(BigInt(packAccessRights(Number(value), form)), 4);
  const selector = offsets.get(field.encoding - RIGHTS_AFTER_SELECTOR);
  if (selector === undefined) return undefined;
  const offset = selector + 2;
  return offset + 2 <= VMCS_BYTES && unpackAccessRights(patternWord(offset), 'packed') === Number(value)
    ? offset
    : undefined;
}

/** From a segment's selector to its access rights, in encodings. */
const RIGHTS_AFTER_SELECTOR = 0x4814 - 0x0800;

/** The text of a note for a layout, fields in the order of the note of 2012: some controls and the selectors first. */
export function vmcsinfoText(layout: VmcsLayout, revision: number): string {
  const lines = [`REVISION_ID=${revision.toString(16)}`];
  for (const field of inNoteOrder()) {
    const offset = layout.offsets.get(field.encoding);
    if (offset === undefined) continue;
    const value = isAccessRights(field) ? rightsValue(layout, offset) : encodeOffset(offset, field.width / 8);
    lines.push(`FIELD(${field.name})=${value.toString(16).padStart(field.width / 4, '0')}`);
  }
  return `${lines.join('\n')}\n`;
}

function rightsValue(layout: VmcsLayout, offset: number): bigint {
  const form = layout.accessRights ?? 'plain';
  return BigInt(unpackAccessRights(Number(encodeOffset(offset, layout.accessRightsBytes)), form));
}

const FIRST_FIELDS = [0x4000, 0x4002, 0x401e, 0x400c, 0x4012];

function inNoteOrder(): VmcsField[] {
  const rank = ({ encoding }: VmcsField): number => {
    const first = FIRST_FIELDS.indexOf(encoding);
    return first >= 0 ? first : encoding >> 8 === 8 ? 0x1_0000 + encoding : 0x2_0000 + encoding;
  };
  return [...VMCS_FIELDS].sort((a, b) => rank(a) - rank(b));
}

/** A note to be written into a dump. */
export function vmcsinfoNote(text: string): WrittenNote {
  return { name: VMCSINFO, type: VMCSINFO_TYPE, description: bytesOf(text) };
}

/** The whole ELF note as bytes: header, name, text. */
export function vmcsinfoBytes(text: string): Uint8Array {
  return serializeNotes([vmcsinfoNote(text)]).bytes;
}

/**
 * The notes of a file: ELF notes one after another, or the text of one VMCSINFO note.
 * Throws EXH_BAD_NOTE where it holds neither.
 */
export function notesOfFile(bytes: Uint8Array, file: string): WrittenNote[] {
  if (matches(bytes, 0, FIRST_LINE)) {
    parseVmcsinfo(bytes, file);
    return [{ name: VMCSINFO, type: VMCSINFO_TYPE, description: bytes }];
  }
  const damage = new DamageLog();
  const notes = parseNotes(bytes, 0, true, damage);
  if (notes.length === 0 || damage.entries.length > 0) {
    throw new ExhumeError(
      'EXH_BAD_NOTE',
      `${file}: this is no ELF note: ${damage.entries[0]?.message ?? 'it is empty'}`,
      {
        file,
        hint: 'a file of ELF notes, or the text of a VMCSINFO note',
      },
    );
  }
  return notes.map(({ name, type, description }) => ({ name, type, description }));
}

/** VMCSINFO among a dump's notes. Broken ones are damage. */
export function vmcsinfoOfNotes(notes: readonly Note[], damage: Damage[]): Vmcsinfo[] {
  return notes.flatMap((note) =>
    note.name === VMCSINFO ? attempt(() => parseVmcsinfo(note.description, "the dump's VMCSINFO note"), damage) : [],
  );
}

/**
 * The VMCSINFO note at a physical address, as `/sys/kernel/vmcsinfo` tells it: address and size of what is there for it.
 * Throws EXH_BAD_NOTE where no such note is there, and the errors of reading memory.
 */
export function noteOfMemory(memory: PhysicalMemory, address: number, size: number): WrittenNote {
  const whole = memory.bytes(physicalAddress(address), Math.min(size, MOST_BYTES));
  const text = textOfNote(whole);
  if (text === undefined) {
    throw new ExhumeError('EXH_BAD_NOTE', `at ${hex(address)} is no VMCSINFO note`, { address });
  }
  return { name: VMCSINFO, type: VMCSINFO_TYPE, description: text };
}

/** The same, read. */
export function vmcsinfoAt(memory: PhysicalMemory, address: number, size: number): Vmcsinfo {
  return parseVmcsinfo(noteOfMemory(memory, address, size).description, `VMCSINFO at ${hex(address)}`);
}

/** The text of a note that begins with the first byte; undefined where it is none. */
function textOfNote(bytes: Uint8Array): Uint8Array | undefined {
  const size = sizeOfNote(bytes);
  return size === undefined || HEADER_BYTES + NAME_BYTES + size > bytes.length
    ? undefined
    : bytes.subarray(HEADER_BYTES + NAME_BYTES, HEADER_BYTES + NAME_BYTES + size);
}

/** Bytes of text that the header of a VMCSINFO note promises; undefined where there is none. */
export function sizeOfNote(bytes: Uint8Array): number | undefined {
  if (bytes.length < HEADER_BYTES + NAME_BYTES + FIRST_LINE.length || !matches(bytes, HEADER_BYTES, NAME))
    return undefined;
  const view = viewOf(bytes);
  const size = view.getUint32(4, true);
  const sound = view.getUint32(0, true) === NAME.length && size >= FIRST_LINE.length && size <= MOST_BYTES;
  return sound && matches(bytes, HEADER_BYTES + NAME_BYTES, FIRST_LINE) ? size : undefined;
}

const NAME = bytesOf(`${VMCSINFO}\0`);

function attempt<T>(read: () => T, damage: Damage[]): T[] {
  try {
    return [read()];
  } catch (error) {
    if (!(error instanceof ExhumeError)) throw error;
    damage.push({ code: error.code, part: VMCSINFO, message: error.message });
    return [];
  }
}
