import type { PhysicalAddress } from '../../bytes/address.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import { VMCS_LAYOUTS } from './layouts/all.js';
import { passOver } from './memory-pass.js';
import { isVmcb } from './vmcb.js';
import { type ChosenLayout, chooseLayout } from './vmcs-consistency.js';
import type { VmcsLayout } from './vmcs-layout.js';
import { sizeOfNote, type Vmcsinfo, vmcsinfoAt } from './vmcsinfo.js';

/** A page of memory that may be a control structure. */
export interface FoundPage {
  /** Its physical address. */
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** A VMCB or VMCS found in memory. */
export interface FoundControl extends FoundPage {
  /** How a VMCS is laid out; undefined for a VMCB. */
  readonly layout: ChosenLayout | undefined;
}

/** Everything about guests that a processor left in memory. */
export interface ControlScan {
  /** By ascending address. */
  readonly found: readonly FoundControl[];
  /** Pages that hold what every VMCS does, but in no layout that is known. */
  readonly strange: readonly FoundPage[];
  /** VMCSINFO notes. */
  readonly vmcsinfo: readonly Vmcsinfo[];
}

const PAGE = 4096;
const WORDS = PAGE / 4;
/** More are not virtual CPUs; a memory of nothing but these was made up. */
const MOST_FOUND = 65_536;
const LINK_POINTER = 0x2800;
/** "VMCS", the first word of a note's name. */
const NOTE_NAME = 0x5343_4d56;
const NOTE_NAME_BYTES = 9;

// Word indexes in a VMCB: the fifth intercept word, the ASID, EFER.
const INTERCEPTS_4 = 0x10 / 4;
const ASID = 0x58 / 4;
const EFER = 0x4d0 / 4;
const EFER_SVME = 0x1000;

/**
 * Looks at every page of memory for control structures: no kernel, no symbols, no types are needed. `stated` are layouts
 * beside the known ones; those of notes that are met on the way count for all pages.
 *
 * A VMCS is looked for only where its link pointer is none: a shadow VMCS's owner is not found so.
 */
export function scanForControl(memory: PhysicalMemory, stated: readonly VmcsLayout[] = []): ControlScan {
  const candidates: { readonly address: number; readonly bytes: Uint8Array; readonly vmcb: boolean }[] = [];
  const notes: number[] = [];
  const links = linkPlaces([...stated, ...VMCS_LAYOUTS]);
  passOver(memory, (words, bytes, address, length) => {
    for (let w = 0; w < length / 4; w += WORDS) {
      const at = w * 4;
      if (((words[w + INTERCEPTS_4] as number) & 1) !== 0 && looksLikeVmcb(words, w)) {
        const page = bytes.slice(at, at + PAGE);
        if (candidates.length < MOST_FOUND && isVmcb(page))
          candidates.push({ address: address + at, bytes: page, vmcb: true });
      }
      if (words[w + 1] === 0) {
        const like = words[w] !== 0 && (hasLink(words, w, links) || looksLikeVmcs(words, w));
        if (like && candidates.length < MOST_FOUND) {
          candidates.push({ address: address + at, bytes: bytes.slice(at, at + PAGE), vmcb: false });
        }
      } else if (isNote(words, w, bytes)) {
        notes.push(address + at);
      }
    }
  });
  const vmcsinfo = notes.flatMap((address) => readNote(memory, address));
  const all = [...stated, ...vmcsinfo.map(({ layout }) => layout)];
  // A processor that nobody knew, and its note somewhere in memory: now it is known where to look.
  if (linkPlaces(all).some((place) => !links.includes(place))) {
    return { ...scanForControl(memory, all), vmcsinfo };
  }
  const found: FoundControl[] = [];
  const strange: FoundPage[] = [];
  for (const { address, bytes, vmcb } of candidates) {
    const layout = vmcb ? undefined : chooseLayout(bytes, all);
    if (vmcb || layout !== undefined) found.push({ address, bytes, layout });
    else if (looksLikeVmcs(new Int32Array(bytes.buffer, bytes.byteOffset, WORDS), 0)) strange.push({ address, bytes });
  }
  return { found, strange, vmcsinfo };
}

/** The VMCSINFO notes that begin a page of memory, as the module keeps its own. */
export function findVmcsinfo(memory: PhysicalMemory): Vmcsinfo[] {
  const notes: number[] = [];
  passOver(memory, (words, bytes, address, length) => {
    for (let w = 0; w < length / 4; w += WORDS) if (isNote(words, w, bytes)) notes.push(address + w * 4);
  });
  return notes.flatMap((address) => readNote(memory, address));
}

function isNote(words: Int32Array, page: number, bytes: Uint8Array): boolean {
  return (
    words[page] === NOTE_NAME_BYTES &&
    words[page + 3] === NOTE_NAME &&
    sizeOfNote(bytes.subarray(page * 4, page * 4 + PAGE)) !== undefined
  );
}

/** Word indexes at which a VMCS may have its link pointer. */
function linkPlaces(layouts: readonly VmcsLayout[]): Int32Array {
  const places = layouts.flatMap(({ offsets }) => {
    const offset = offsets.get(LINK_POINTER);
    return offset === undefined || offset % 4 !== 0 ? [] : [offset / 4];
  });
  return Int32Array.from(new Set(places));
}

function hasLink(words: Int32Array, page: number, places: Int32Array): boolean {
  for (const place of places) {
    if (words[page + place] === -1 && words[page + place + 1] === -1) return true;
  }
  return false;
}

const CR0_HOST = 0x8000_0021 | 0;
const CR0_GUEST = 0x20;
const CR4_VMXE = 0x2000;
/** Upper halves: of an address below 2^52, of CR4. */
const ADDRESS_HIGH = 0x10_0000;
const CR4_HIGH = 2;

/** A link pointer that is none, and CR0, CR3 and CR4 of a guest and of a host: wherever they are. */
function looksLikeVmcs(words: Int32Array, page: number): boolean {
  let links = 0;
  let hosts = 0;
  let guests = 0;
  for (let w = page + 2; w < page + WORDS - 1; w += 2) {
    const low = words[w] as number;
    const high = words[w + 1] as number;
    if (low === -1 && high === -1) links++;
    if (high !== 0 || (low & CR0_GUEST) === 0 || w + 6 > page + WORDS) continue;
    const table = (words[w + 3] as number) >>> 0;
    const cr4 = words[w + 4] as number;
    if (table >= ADDRESS_HIGH || (cr4 & CR4_VMXE) === 0 || (words[w + 5] as number) >>> 0 >= CR4_HIGH) continue;
    guests++;
    if ((low & CR0_HOST) === CR0_HOST) hosts++;
  }
  return links > 0 && hosts > 0 && guests > 1;
}

function looksLikeVmcb(words: Int32Array, page: number): boolean {
  const asid = words[page + ASID] as number;
  return asid > 0 && asid <= 0x1_0000 && ((words[page + EFER] as number) & EFER_SVME) !== 0;
}

/** A note of the kernel's module; one that cannot be read whole is none. */
function readNote(memory: PhysicalMemory, address: number): Vmcsinfo[] {
  const head = new Uint8Array(PAGE);
  if (memory.tryRead(address as PhysicalAddress, head) !== undefined) return [];
  const size = sizeOfNote(head) ?? 0;
  const whole = new Uint8Array(NOTE_TEXT_AT + size);
  if (size === 0 || memory.tryRead(address as PhysicalAddress, whole) !== undefined) return [];
  return [vmcsinfoAt(memory, address, whole.length)];
}

/** Where a note's text begins: after its header and its name, padded. */
const NOTE_TEXT_AT = 24;
