import { hex } from '../../bytes/address.js';
import { ExhumeError } from '../../bytes/errors.js';
import { PAGE_STATES, type PhysicalMemory, PRESENT } from '../../dump/memory.js';
import { AreaSet, wholePages } from '../area-set.js';
import type { Handover, MemoryArea } from '../model.js';
import { PAGE } from '../source-reader.js';
import { type KhoBuildDescription, VERSIONS } from './description.js';

/** What contents name as their file: all physical memory, its offsets addresses. */
export const MEMORY_FILE = 'memory';

const ABSENT = PAGE_STATES.indexOf('absent');
const PAGES_AT_ONCE = 1 << 16;
/** Sequential trees have their reserved memory here; packed ones 8 bytes before (libfdt). */
const SEQUENTIAL_RESERVATIONS = 0x30;

type Memory = NonNullable<KhoBuildDescription['memory']>;

/**
 * Describes a handover of upstream as it stands in memory: what is built of it has the same tree, map and users, with all
 * bytes of preserved memory that are there. Only pages of the map may lie elsewhere: but for its first.
 * Throws EXH_USAGE for other handovers, and for those whose map or place is not known.
 */
export function describeHandover(handover: Handover, memory: PhysicalMemory): KhoBuildDescription {
  const { compatible, series, preserved, address, users, scratch, tree, direction } = handover;
  const version = VERSIONS.find((one) => one === compatible);
  if (series !== 'upstream' || version === undefined) {
    throw new ExhumeError('EXH_USAGE', `a handover ${compatible} cannot be built again: kho-v1 to kho-v4 can`);
  }
  if (address === undefined || preserved === undefined || preserved.damage.length > 0) {
    throw new ExhumeError(
      'EXH_USAGE',
      'the map of preserved memory is not there, or not whole: it cannot be built again',
    );
  }
  const root = preserved.own[0]?.address;
  const own = wholePages({ address, size: tree.totalSize });
  return {
    schema: 'exhume-kho-build/1',
    version,
    ...(version === 'kho-v1' && { bitmaps: preserved.form === 'bitmaps of a page' ? 4096 : 512 }),
    direction: direction ?? 'outgoing',
    layout: tree.layout.reservations === SEQUENTIAL_RESERVATIONS ? 'sequential' : 'packed',
    address: hex(address),
    preserve: false,
    ...(root !== undefined && { map: { pages: [hex(root)] } }),
    scratch: scratch.map((area) => ({ address: hex(area.address), size: area.size })),
    // Their bytes are among those of the preserved memory, or are not to be had.
    users: users.map(({ name, blob }) => ({
      name,
      bytes: 'absent',
      preserve: false,
      ...(blob !== undefined && { address: hex(blob.address), size: blob.size }),
    })),
    memory: [
      ...preserved.blocks.map(({ address: at, size }): Memory[number] => ({
        address: hex(at),
        size,
        content: 'absent',
        preserve: 'folio',
      })),
      ...contentsOf(
        own,
        users.flatMap(({ blob }) => blob ?? []),
        preserved.blocks,
        memory,
      ),
    ],
  };
}

/** What preserved memory and descriptions hold, page by page; the tree's own pages are made anew. */
function* contentsOf(
  tree: MemoryArea,
  blobs: readonly MemoryArea[],
  blocks: readonly MemoryArea[],
  memory: PhysicalMemory,
): Generator<Memory[number]> {
  const anew = new AreaSet([tree]);
  for (const whole of new AreaSet([...blocks, ...blobs.map(wholePages)]).areas()) {
    for (const area of anew.gaps(whole)) {
      for (const { state, address, size } of runsOf(area, memory)) {
        const place = { address: hex(address), size, preserve: 'no' } as const;
        if (state === PRESENT) yield { ...place, content: { file: MEMORY_FILE, offset: hex(address), size } };
        else if (state !== ABSENT) yield { ...place, content: 'excluded' };
      }
    }
  }
}

/** Pages of one state behind each other. */
function* runsOf({ address, size }: MemoryArea, memory: PhysicalMemory): Generator<MemoryArea & { state: number }> {
  const states = new Uint8Array(PAGES_AT_ONCE);
  const end = (address + size) / PAGE;
  for (let pfn = address / PAGE; pfn < end; ) {
    const part = states.subarray(0, Math.min(PAGES_AT_ONCE, end - pfn));
    memory.states(pfn, part);
    for (let at = 0; at < part.length; ) {
      const state = part[at] ?? ABSENT;
      let next = at;
      while (next < part.length && part[next] === state) next++;
      yield { state, address: (pfn + at) * PAGE, size: (next - at) * PAGE };
      at = next;
    }
    pfn += part.length;
  }
}
