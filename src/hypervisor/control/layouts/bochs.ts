import { VMCS_FIELDS } from '../vmcs-fields.js';
import type { VmcsLayout } from '../vmcs-layout.js';

/** Bochs' own fields begin after the revision, the abort indicator and the launch state (cpu/vmx.h VMCS_DATA_OFFSET). */
const FIRST = 0x10;
/** Bytes of the smallest place; wider fields take two. */
const SLOT = 4;
/** What Bochs calls its own; its models of Tiger Lake and later claim 0x04, which is Skylake's. */
const REVISIONS = [0x2b, 0x04];

/**
 * Bochs to 2.7: 64 places for each of the 16 kinds of fields, in the order of width and kind, and in each by the
 * encoding's low 10 bits, upper halves included (cpu/vmcs.cc, init_VMCS).
 */
function places64(encoding: number): number {
  return FIRST + (((encoding >> 13) & 3) * 4 + ((encoding >> 10) & 3)) * 64 * SLOT + (encoding & 0x3ff) * SLOT;
}

/**
 * Bochs from 2.8 on: the four widths one after another, each with so many places for each kind of field (cpu/vmcs.cc).
 * The 64-bit fields got more of them in 3.1.
 */
function placesByWidth(places64bit: number): (encoding: number) => number {
  const places = [0x20, places64bit, 0x30, 0x30];
  return (encoding) => {
    const width = (encoding >> 13) & 3;
    const before = places.slice(0, width).reduce((sum, count) => sum + 4 * count, 0);
    const index = before + ((encoding >> 10) & 3) * (places[width] ?? 0) + (encoding & 0x3ff);
    return FIRST + index * SLOT;
  };
}

/** The largest index of a field for which every table has a place; Bochs itself knows none that is larger. */
const MOST_INDEX = 0x3e;

function bochs(version: string, offset: (encoding: number) => number): VmcsLayout {
  const fields = VMCS_FIELDS.filter(({ encoding }) => (encoding & 0x3ff) <= MOST_INDEX);
  return {
    name: `Bochs ${version}`,
    revisions: REVISIONS,
    // Its processor models rotate them as Nehalem does, or pack them as Skylake does; the page tells.
    accessRights: undefined,
    accessRightsBytes: 4,
    source: "the formula in Bochs' cpu/vmcs.cc",
    offsets: new Map(fields.map(({ encoding }) => [encoding, offset(encoding)])),
  };
}

export const BOCHS_2_7 = bochs('2.7', places64);
export const BOCHS_2_8 = bochs('2.8 to 3.0', placesByWidth(0x50));
export const BOCHS_3_1 = bochs('3.1', placesByWidth(0x54));
