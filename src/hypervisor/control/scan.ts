import type { PhysicalAddress } from '../../bytes/address.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import { VMCS_LAYOUTS } from './layouts/all.js';
import { passOver } from './memory-pass.js';
import { isVmcb } from './vmcb.js';
import { type ChosenLayout, chooseLayout } from './vmcs-consistency.js';
import type { VmcsLayout } from './vmcs-layout.js';
import { sizeOfNote, type Vmcsinfo, vmcsinfoAt } from './vmcsinfo.js';

/** A VMCB or VMCS found in memory. */
export interface FoundControl {
  /** Physical address of the page. */
  readonly address: number;
  readonly bytes: Uint8Array;
  /** How a VMCS is laid out; undefined for a VMCB. */
  readonly layout: ChosenLayout | undefined;
}

/** Everything about guests that a processor left in memory. */
export interface ControlScan {
  /** By ascending address. */
  readonly found: readonly FoundControl[];
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
        if (words[w] !== 0 && hasLink(words, w, links) && candidates.length < MOST_FOUND) {
          candidates.push({ address: address + at, bytes: bytes.slice(at, at + PAGE), vmcb: false });
        }
      } else if (
        words[w] === NOTE_NAME_BYTES &&
        words[w + 3] === NOTE_NAME &&
        sizeOfNote(bytes.subarray(at, at + PAGE))
      ) {
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
  const found = candidates.flatMap(({ address, bytes, vmcb }): FoundControl[] => {
    if (vmcb) return [{ address, bytes, layout: undefined }];
    const layout = chooseLayout(bytes, all);
    return layout === undefined ? [] : [{ address, bytes, layout }];
  });
  return { found, vmcsinfo };
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
