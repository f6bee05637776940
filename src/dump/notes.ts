import { hexBytes } from '../bytes/address.js';
import { bytesOf } from '../bytes/search.js';
import { viewOf } from '../bytes/struct-table.js';
import type { Note } from './container.js';
import { DamageLog } from './damage-log.js';
import type { WrittenNote } from './description.js';

/** n_namesz, n_descsz, n_type: three 32-bit words in the file's byte order, alike in 32- and 64-bit files. */
const HEADER_SIZE = 12;
/** A kernel's notes are some kilobytes, QEMU's 800 bytes for each CPU: more than this many are not notes. */
const MAX_NOTES = 100_000;
const MAX_NAME = 256;

const NT_GNU_BUILD_ID = 3;
/** Linkers make 16 or 20 bytes. */
const LONGEST_BUILD_ID = 64;

const decoder = new TextDecoder('latin1');

/**
 * Parses ELF notes (System V ABI, kernel `struct elf_note`): header, name and description, each padded to 4 bytes.
 * A note that does not fit ends the parse and is recorded as damage; those before it are kept.
 * Zero words where a header should be are the padding that the kernel leaves behind a CPU's notes, and are stepped over
 * (no writer makes notes without a name).
 * @param base the file offset of the first byte, in bytes
 */
export function parseNotes(bytes: Uint8Array, base: number, littleEndian: boolean, damage: DamageLog): Note[] {
  const view = viewOf(bytes);
  const notes: Note[] = [];
  let at = 0;
  while (at + HEADER_SIZE <= bytes.length) {
    const nameSize = view.getUint32(at, littleEndian);
    const descriptionSize = view.getUint32(at + 4, littleEndian);
    const type = view.getUint32(at + 8, littleEndian);
    if (nameSize === 0) {
      at += 4;
      continue;
    }
    const nameAt = at + HEADER_SIZE;
    const descriptionAt = nameAt + align4(nameSize);
    const end = descriptionAt + descriptionSize;
    if (nameSize > MAX_NAME || end > bytes.length) {
      damage.add(
        'EXH_BAD_NOTE',
        'notes',
        `the note at ${base + at} says ${nameSize} bytes of name and ${descriptionSize} of description, ` +
          `${bytes.length - nameAt} are left: it and what follows is not read`,
      );
      return notes;
    }
    if (notes.length === MAX_NOTES) {
      damage.add('EXH_BAD_NOTE', 'notes', `more than ${MAX_NOTES} notes: the rest is not read`);
      return notes;
    }
    notes.push({
      name: noteName(bytes.subarray(nameAt, nameAt + nameSize)),
      type,
      description: bytes.slice(descriptionAt, end),
      offset: base + at,
    });
    at = descriptionAt + align4(descriptionSize);
  }
  if (bytes.subarray(at).some((byte) => byte !== 0)) {
    damage.add('EXH_BAD_NOTE', 'notes', `${bytes.length - at} bytes after the last note, at ${base + at}, are no note`);
  }
  return notes;
}

/** The GNU build id among notes, in hexadecimal digits; undefined without one. */
export function buildIdOf(bytes: Uint8Array, littleEndian: boolean): string | undefined {
  const notes = parseNotes(bytes, 0, littleEndian, new DamageLog());
  const id = notes.find(({ name, type }) => name === 'GNU' && type === NT_GNU_BUILD_ID)?.description;
  return id === undefined || id.length > LONGEST_BUILD_ID ? undefined : hexBytes(id);
}

/** The text of the VMCOREINFO note, if there is one; the last one, should there be several. */
export function vmcoreinfoOf(notes: readonly Note[]): Uint8Array | undefined {
  return notes.findLast((note) => note.name === 'VMCOREINFO')?.description;
}

/** Notes as bytes, and where each note's description begins in them. Little-endian. */
export function serializeNotes(notes: readonly WrittenNote[]): {
  readonly bytes: Uint8Array;
  readonly descriptionsAt: readonly number[];
} {
  const names = notes.map(({ name }) => bytesOf(`${name}\0`));
  const descriptionsAt: number[] = [];
  let size = 0;
  notes.forEach(({ description }, i) => {
    descriptionsAt.push(size + HEADER_SIZE + align4(names[i]?.length ?? 0));
    size = (descriptionsAt[i] as number) + align4(description.length);
  });
  const bytes = new Uint8Array(size);
  const view = viewOf(bytes);
  notes.forEach(({ type, description }, i) => {
    const name = names[i] as Uint8Array;
    const descriptionAt = descriptionsAt[i] as number;
    const at = descriptionAt - align4(name.length) - HEADER_SIZE;
    view.setUint32(at, name.length, true);
    view.setUint32(at + 4, description.length, true);
    view.setUint32(at + 8, type, true);
    bytes.set(name, at + HEADER_SIZE);
    bytes.set(description, descriptionAt);
  });
  return { bytes, descriptionsAt };
}

function noteName(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function align4(size: number): number {
  return Math.ceil(size / 4) * 4;
}
