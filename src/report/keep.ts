import type { PhysicalAddress } from '../bytes/address.js';
import { isExhumeError } from '../bytes/errors.js';
import { readSurroundings } from '../convert/kernel-surroundings.js';
import { RecordingMemory } from '../convert/recording-memory.js';
import { joinRanges, type PhysicalRange } from '../dump/memory.js';
import type { PageBitmap } from '../dump/page-bitmap.js';
import type { Kernel } from '../kernel/kernel.js';
import { askEverything } from './questions.js';
import { openSubject, requireKernel, type Subject } from './subject.js';

/**
 * The pages that a dump needs for exhume to give the same answers about every kernel in it, and for what is asked
 * next: see `readSurroundings`. Pages that this dump lacks already are not among them.
 * Throws EXH_NO_KERNEL when there is none.
 */
export function keptPages(subject: Subject): PageBitmap {
  requireKernel(subject);
  const { container, search } = subject;
  const memory = new RecordingMemory(container.memory, joinRanges(search.kernels.flatMap(placesOf)));
  // Opened anew for each: what was read already and is remembered would not be seen.
  for (const index of search.kernels.keys()) {
    const anew = openSubject({ ...container, memory }, index);
    askEverything(anew);
    readSurroundings(requireKernel(anew));
  }
  return memory.touched;
}

/** The pages by which a search through all memory finds a kernel: its top page table, its VMCOREINFO. */
function placesOf(kernel: Kernel): PhysicalRange[] {
  const { memory, pageTable, symbols } = kernel;
  const places: number[] = [pageTable.root];
  const data = symbols.address('vmcoreinfo_data');
  try {
    const text = data === undefined ? undefined : memory.translate(memory.pointer(data));
    if (text !== undefined) places.push(text);
  } catch (error) {
    if (!isExhumeError(error)) throw error;
  }
  const { pageSize } = memory.physical;
  return places.map((place) => {
    const start = place - (place % pageSize);
    return { start: start as PhysicalAddress, end: (start + pageSize) as PhysicalAddress };
  });
}
