import type { MemoryArea } from '../model.js';

/** How bad it is. */
export type Severity =
  /** The receiving kernel does not take it: the handover, or a user's part of it. */
  | 'refused'
  /** It is taken, and memory that belongs to it is not what it was. */
  | 'lost'
  /** Nothing goes wrong, or nothing tells whether it does. */
  | 'note';

/** Something that a handover will not bring over. */
export interface Finding {
  readonly severity: Severity;
  /** What was looked at: stable, for programs. */
  readonly check: string;
  /** `the tree`, a user's name, `preserved memory`. */
  readonly about: string;
  readonly message: string;
  /** Where, the first of them. */
  readonly areas: readonly MemoryArea[];
}

/** Areas that a finding lists. */
const MOST_AREAS = 16;

/** A finding about memory; undefined when there is none of it. Says how many areas are not listed. */
export function findingAbout(
  { severity, check, about, message }: Omit<Finding, 'areas'>,
  areas: Iterable<MemoryArea>,
): Finding | undefined {
  const first: MemoryArea[] = [];
  let more = 0;
  for (const area of areas) {
    if (first.length < MOST_AREAS) first.push(area);
    else more++;
  }
  if (first.length === 0) return undefined;
  return { severity, check, about, message: more === 0 ? message : `${message} (and ${more} more)`, areas: first };
}

/** A finding that is about no place in memory. */
export function finding(severity: Severity, check: string, about: string, message: string): Finding {
  return { severity, check, about, message, areas: [] };
}
