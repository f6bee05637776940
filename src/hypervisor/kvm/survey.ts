import type { Pfn } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { PAGE_STATES, type PhysicalMemory } from '../../dump/memory.js';
import type { NestedMemory } from '../control/nested-memory.js';
import type { MemorySurvey, NestedComparison } from '../guest.js';
import { PAGE } from './process-pages.js';
import type { SlotMemory } from './slot-memory.js';

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
const EXCLUDED = PAGE_STATES.indexOf('excluded');

/** Damage that says so where most of a guest's memory was filtered out when the host was dumped. */
export function filteredOut(memory: PhysicalMemory): Damage | undefined {
  const { pageSize } = memory;
  const ranges = memory.presentRanges();
  const pages = ranges.reduce((sum, { start, end }) => sum + (end - start) / pageSize, 0);
  const step = Math.max(1, Math.floor(pages / SAMPLES));
  const counts = PAGE_STATES.map(() => 0);
  const state = new Uint8Array(1);
  for (const { start, end } of ranges) {
    for (let pfn = start / pageSize; pfn < end / pageSize; pfn += step) {
      memory.states(pfn as Pfn, state);
      const found = state[0] as number;
      counts[found] = (counts[found] ?? 0) + 1;
    }
  }
  const looked = counts.reduce((sum, count) => sum + count, 0);
  const excluded = counts[EXCLUDED] ?? 0;
  if (excluded === 0 || excluded * 2 < looked) return undefined;
  return {
    code: 'EXH_PAGE_EXCLUDED',
    part: 'memory',
    message:
      "user pages were left out of the host's dump, and a guest's memory is user pages: of this guest there are registers " +
      'only (makedumpfile -d 31 leaves them out, -d 23 keeps them)',
  };
}
