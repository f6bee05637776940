import { ByteWriter } from '../../bytes/byte-writer.js';
import { crc32 } from '../../codecs/crc.js';
import type { EventNumber } from './nodes.js';

/** What of a kind of event its fingerprint is made of. */
export interface EventShape {
  /** In the kernel that tells it. */
  readonly id: number;
  readonly name: string;
  /** Of its fields but the common ones, in bytes, in the order of the declaration. */
  readonly sizes: readonly number[];
  /** Its number is the same whenever this kernel boots (`enum trace_type`). */
  readonly fixed?: boolean;
}

/**
 * `event2fp()` of the series of 2023/24: CRC-32 of the name and of the fields' sizes, each a little endian int, without the
 * inversion at the end. A kernel's list of fields begins with the last one.
 */
export function eventFingerprint({ name, sizes }: Pick<EventShape, 'name' | 'sizes'>): number {
  const bytes = new ByteWriter().text(name);
  for (let index = sizes.length - 1; index >= 0; index--) bytes.u32(sizes[index] ?? 0);
  return ~crc32(bytes.bytes) >>> 0;
}

/** `0x1b2c3d4e` */
export function fingerprintText(fingerprint: number): string {
  return `0x${fingerprint.toString(16).padStart(8, '0')}`;
}

/** Fingerprints of kinds that are the same in each kernel (`enum trace_type`) are their numbers; no kernel has as many. */
const MOST_STATIC = 256;
/** In version 1 those have names of their own, which no format has. */
const STATIC_NAMES = new Set(
  (
    'fn ctx wake stack user_stack hwlat osnoise timerlat bputs bprint print raw_data func_repeats ' +
    'graph_ent graph_ret blk branch'
  ).split(' '),
);

/** Is it the same number in each kernel? */
export function isStatic({ fingerprint, name, id }: EventNumber): boolean {
  return id < MOST_STATIC && (fingerprint === undefined ? STATIC_NAMES.has(name ?? '') : fingerprint === id);
}

/** The numbers that a handover's events have, and what of another source's events they are. */
export interface EventMatch<T> {
  /** By the number in the handover. */
  readonly known: ReadonlyMap<number, T>;
  /** Those that have another number there. */
  readonly moved: number;
  /** Nothing has this fingerprint. */
  readonly unmatched: readonly EventNumber[];
  /** Several have this fingerprint; the chosen one, if one could be, is among `known`. */
  readonly ambiguous: readonly { readonly number: EventNumber; readonly candidates: readonly T[] }[];
}

/**
 * Finds what events the numbers in a handover stand for. Of several with one fingerprint (or in version 1 of one name) that counts which has the
 * same number; else they are taken in the order of their numbers where there are as many of them on both sides.
 */
export function matchEvents<T extends EventShape>(
  numbers: readonly EventNumber[],
  shapes: readonly T[],
): EventMatch<T> {
  const byId = new Map(shapes.map((shape) => [shape.id, shape]));
  const byKey = new Map<number | string, T[]>();
  const named = numbers.some(({ fingerprint }) => fingerprint === undefined);
  for (const shape of shapes) {
    const key = named ? shape.name : eventFingerprint(shape);
    const same = byKey.get(key);
    if (same === undefined) byKey.set(key, [shape]);
    else same.push(shape);
  }
  const known = new Map<number, T>();
  const unmatched: EventNumber[] = [];
  const ambiguous: { number: EventNumber; candidates: readonly T[] }[] = [];
  const groups = new Map<number | string, Map<number, EventNumber>>();
  for (const number of numbers) {
    if (isStatic(number)) {
      // Not all of them have a format.
      const shape = byId.get(number.id);
      if (shape?.fixed === true) known.set(number.id, shape);
      continue;
    }
    const key = number.fingerprint ?? number.name ?? '';
    const same = groups.get(key);
    if (same === undefined) groups.set(key, new Map([[number.id, number]]));
    else if (!same.has(number.id)) same.set(number.id, number);
  }
  for (const [key, byNumber] of groups) {
    const group = [...byNumber.values()];
    const candidates = byKey.get(key) ?? [];
    for (const number of group) {
      if (candidates.length === 0) unmatched.push(number);
      else if (candidates.length > 1 || group.length > 1) ambiguous.push({ number, candidates });
    }
    for (const [number, shape] of pairs(group, candidates)) known.set(number.id, shape);
  }
  let moved = 0;
  for (const [id, shape] of known) if (shape.id !== id) moved++;
  return { known, moved, unmatched, ambiguous };
}

function pairs<T extends EventShape>(group: readonly EventNumber[], candidates: readonly T[]): [EventNumber, T][] {
  const byId = new Map(candidates.map((shape) => [shape.id, shape]));
  const found: [EventNumber, T][] = [];
  const left = group.filter((number) => {
    const shape = byId.get(number.id);
    if (shape === undefined) return true;
    byId.delete(number.id);
    found.push([number, shape]);
    return false;
  });
  if (left.length !== byId.size) return found;
  left.sort((a, b) => a.id - b.id);
  const rest = [...byId.values()].sort((a, b) => a.id - b.id);
  for (const [index, shape] of rest.entries()) {
    const number = left[index];
    if (number !== undefined) found.push([number, shape]);
  }
  return found;
}

/** The numbers of all events as the kernel writes them into `events`: those that are the same in each kernel first. */
export function eventNumbers(shapes: readonly EventShape[], firstDynamic: number): EventNumber[] {
  const numbers = Array.from({ length: Math.max(0, firstDynamic - 1) }, (_, index) => index + 1);
  return [
    ...numbers.map((id) => ({ fingerprint: id, name: undefined, id })),
    ...shapes.map((shape) => ({
      fingerprint: shape.id < firstDynamic ? shape.id : eventFingerprint(shape),
      name: undefined,
      id: shape.id,
    })),
  ];
}
