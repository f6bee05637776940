import type { Pfn } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import type { MissingState } from '../../dump/memory.js';
import { attempt } from '../../kernel/collect.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { PAGE_CLASS, PageClassifier, readPageFacts } from '../../kernel/memory/page-classes.js';
import type { NestedMemory } from '../control/nested-memory.js';
import type { MemorySurvey, NestedComparison } from '../guest.js';
import { PAGE } from './process-pages.js';
import { SlotMemory } from './slot-memory.js';

/** Goes through all pages of a guest, and compares where the memory slots and the nested page table have them. */
export function survey(slots: SlotMemory, nested: NestedMemory | undefined): MemorySurvey {
  return { ...slots.occupancy(), nested: nested && compare(slots, nested) };
}

function compare(slots: SlotMemory, nested: NestedMemory): NestedComparison {
  const counts = { same: 0, different: 0, nestedOnly: 0, slotsOnly: 0 };
  const { pageSize } = slots;
  for (const { start, end } of slots.presentRanges()) {
    for (let pfn = start / pageSize; pfn < end / pageSize; pfn++) {
      const here = slots.locate(pfn);
      const there = nested.hostFrame(pfn);
      if (typeof there === 'string') {
        if (here >= 0) counts.slotsOnly++;
      } else if (here === there) {
        counts.same++;
      } else if (here >= 0) {
        counts.different++;
      } else {
        counts.nestedOnly++;
      }
    }
  }
  for (const { start, end } of nested.ranges()) {
    for (let pfn = start / pageSize; pfn < end / pageSize; pfn++) {
      if (slots.locate(pfn) === PAGE.absent && typeof nested.hostFrame(pfn) === 'number') counts.nestedOnly++;
    }
  }
  return { kind: nested.kind, ...counts };
}

/** Pages that are looked at, spread over all. */
const SAMPLES = 512;
/** All that a dump level leaves out. */
const HIGHEST_LEVEL = 31;
/** Kinds of pages that a guest's memory can be of, in words, and what of a dump level leaves them out. */
const KINDS = [
  { bits: PAGE_CLASS.user, words: 'user pages' },
  { bits: PAGE_CLASS.cache | PAGE_CLASS.private, words: 'pages of files and shared memory' },
] as const;

/** What a host's dump was made without of a guest's memory. */
export interface FilteredOut {
  readonly damage: Damage;
  /** Of all the pages that were looked at there is not one. */
  readonly wholly: boolean;
}

/** Says so where most of a guest's memory was filtered out when the host was dumped, and what would have kept it. */
export function filteredOut(memory: SlotMemory | NestedMemory, view: KernelView): FilteredOut | undefined {
  const { pageSize } = memory;
  const ranges = memory.presentRanges();
  const pages = ranges.reduce((sum, { start, end }) => sum + (end - start) / pageSize, 0);
  const step = Math.max(1, Math.floor(pages / SAMPLES));
  const excluded: number[] = [];
  const present: Pfn[] = [];
  for (const { start, end } of ranges) {
    for (let page = start / pageSize; page < end / pageSize; page += step) {
      const state = memory.state(page as Pfn);
      if (state === 'present') present.push(page as Pfn);
      if (state !== 'excluded') continue;
      const frame = memory instanceof SlotMemory ? memory.locate(page) : memory.hostFrame(page);
      excluded.push(typeof frame === 'number' ? frame : -1);
    }
  }
  if (excluded.length === 0) return undefined;
  // What was never touched is not missed; it may be a page of zeros that all processes share.
  const there = present.filter((page) => !isBlank(memory.peek(page))).length;
  if (excluded.length < there) return undefined;
  const classes = classesOf(excluded, view);
  const kinds = KINDS.filter(({ bits }) => (classes & bits) !== 0);
  const level = kinds.reduce((kept, { bits }) => kept & ~bits, HIGHEST_LEVEL);
  const words = kinds.map((kind) => kind.words).join(' and ');
  return {
    damage: {
      code: 'EXH_PAGE_EXCLUDED',
      part: 'memory',
      message:
        `${words} were left out of the host's dump, and this guest's memory is such pages: of it there are registers ` +
        `only (makedumpfile -d ${HIGHEST_LEVEL} leaves them out, -d ${level} keeps them)`,
    },
    wholly: there === 0,
  };
}

function isBlank(page: Uint8Array | MissingState): boolean {
  return typeof page === 'string' || page.every((byte) => byte === 0);
}

/** The classes that these page frames of the host have between them; user pages where that cannot be told. */
function classesOf(frames: readonly number[], view: KernelView): number {
  const told = attempt([], 'page classes', () => {
    const classifier = new PageClassifier(view.memory, readPageFacts(view.kernel));
    const one = new Uint8Array(1);
    let all = 0;
    for (const frame of frames) {
      if (frame < 0) continue;
      classifier.classify(frame, one);
      all |= one[0] as number;
    }
    return all;
  });
  const known = KINDS.reduce((all, { bits }) => all | bits, 0);
  return ((told ?? 0) & known) === 0 ? PAGE_CLASS.user : (told ?? 0);
}
