import { PAGE_STATES, type PhysicalMemory } from '../../dump/memory.js';
import { AreaSet, overlaps } from '../area-set.js';
import type { Handover, MemoryArea } from '../model.js';
import { namedAreas } from '../named-areas.js';
import { blockAt } from '../preserved.js';
import { PAGE } from '../source-reader.js';
import { sizeText } from '../words.js';
import { type Finding, finding, findingAbout } from './finding.js';

const PRESERVED = 'preserved memory';
const MAP = 'the map of preserved memory';
/** Pages whose presence is looked at: 256 GiB. */
const MOST_PAGES = 1 << 26;
const PAGES_AT_ONCE = 1 << 16;
/** `SCRATCH_ALIGNMENT_BYTES` of x86-64. */
const SCRATCH_ALIGNMENT = 1 << 22;

/** Where preserved memory lies: against scratch memory, against what users name, and whether it is there at all. */
export function* checkMemory(handover: Handover, memory: PhysicalMemory | undefined): Generator<Finding | undefined> {
  const { preserved, scratch, series } = handover;
  if (preserved === undefined) {
    yield finding('note', 'map', PRESERVED, 'its map is not there: only descriptions were checked');
    return;
  }
  const kept = new AreaSet(preserved.blocks);
  const free = new AreaSet(scratch);
  yield* checkScratch(handover);
  yield findingAbout(
    {
      severity: 'lost',
      check: 'scratch',
      about: PRESERVED,
      message: 'lies in scratch memory, where the next kernel writes before it looks at the map',
    },
    flat(kept.areas(), (area) => free.within(area)),
  );
  if (series !== '2023') {
    yield findingAbout(
      {
        severity: 'refused',
        check: 'alignment',
        about: PRESERVED,
        message: 'blocks that do not begin at a multiple of their size: the next kernel never gives them back',
      },
      preserved.blocks.filter(({ address, size }) => address % size !== 0),
    );
    yield findingAbout(
      {
        severity: 'lost',
        check: 'overlap',
        about: PRESERVED,
        message: 'blocks that overlap: the next kernel gives their pages twice, or not as many as it should',
      },
      overlaps(preserved.blocks),
    );
    yield* checkOwn(handover, kept, free);
    yield* checkNamed(handover, kept);
  }
  if (memory !== undefined) yield* checkPresence(kept, memory);
}

/** `kho_reserve_scratch` makes areas of whole largest pages, which a kernel that initialises its pages late relies on. */
function* checkScratch({ scratch, series }: Handover): Generator<Finding | undefined> {
  if (series === '2023') return;
  const message = `is no multiple of ${sizeText(SCRATCH_ALIGNMENT)}, as kernels make it`;
  yield findingAbout(
    { severity: 'note', check: 'scratch', about: 'scratch memory', message },
    scratch.filter(({ address, size }) => size >= SCRATCH_ALIGNMENT && address % SCRATCH_ALIGNMENT !== 0),
  );
}

/** Pages of the map itself: nobody preserves them, and they are read once, when only scratch memory was written to. */
function* checkOwn({ preserved, direction }: Handover, kept: AreaSet, free: AreaSet): Generator<Finding | undefined> {
  // Of a handover that was taken they may be anything by now.
  if (preserved === undefined || preserved.damage.length > 0 || direction === 'incoming') return;
  yield findingAbout(
    {
      severity: 'lost',
      check: 'scratch',
      about: MAP,
      message: 'lies in scratch memory, where the next kernel writes before it looks at the map',
    },
    flat(preserved.own, (area) => free.within(area)),
  );
  yield findingAbout(
    {
      severity: 'lost',
      check: 'map',
      about: MAP,
      message: 'has pages that are preserved memory too: someone else has written to them, or will',
    },
    flat(preserved.own, (area) => kept.within(area)),
  );
}

/** Memory that users lead to is to be preserved, and in the blocks that they say. */
function* checkNamed(handover: Handover, kept: AreaSet): Generator<Finding | undefined> {
  const named = areasByName(handover);
  const unread = unreadMap(handover, kept);
  if (unread !== undefined) {
    yield finding('note', 'map', PRESERVED, `${unread}: what users name was not compared with it`);
    return;
  }
  const blocks = handover.preserved?.blocks ?? [];
  for (const [about, areas] of named) {
    yield findingAbout(
      {
        severity: 'lost',
        check: 'preserved',
        about,
        message: 'is not in the map: the next kernel uses it for other things',
      },
      flat(areas, (area) => kept.gaps(area)),
    );
    yield findingAbout(
      {
        severity: 'refused',
        check: 'alignment',
        about,
        message: 'does not begin where a page does: the next kernel does not give it back',
      },
      areas.filter(({ address }) => address % PAGE !== 0),
    );
  }
  const amid = (areas: readonly MemoryArea[]): Generator<MemoryArea> =>
    flat(areas, (area) =>
      blockAt(blocks, area.address) !== undefined || [...kept.gaps(area)].length > 0 ? [] : [area],
    );
  // Folios are told by their files; reserve_mem is never given back.
  const lists = handover.users.filter(({ name }) => name === 'LUO').flatMap(({ areas }) => areas);
  for (const area of lists.filter(({ what, address }) => !what.endsWith(': folio') && address % PAGE === 0)) {
    yield findingAbout(
      {
        severity: 'refused',
        check: 'alignment',
        about: area.what,
        message: 'is not the beginning of a preserved block: the next kernel does not give it back',
      },
      amid([{ address: area.address, size: area.size }]),
    );
  }
  const given = new Set<number>();
  for (const { name, folios } of handover.files) {
    yield findingAbout(
      {
        severity: 'refused',
        check: 'folios',
        about: name,
        message:
          'folios that were named before: each is given once, and the next kernel refuses the file that asks again',
      },
      namedBefore(folios, given),
    );
    yield findingAbout(
      {
        severity: 'refused',
        check: 'folios',
        about: name,
        message: 'folios that are not the beginning of a preserved block: the next kernel refuses the file',
      },
      amid(folios.map(({ address }) => ({ address, size: PAGE }))),
    );
  }
}

/** Folios that were given already; the others are from now on. */
function* namedBefore(folios: Iterable<{ readonly address: number }>, given: Set<number>): Generator<MemoryArea> {
  for (const { address } of folios) {
    if (given.has(address)) yield { address, size: PAGE };
    given.add(address);
  }
}

/** Why a map says nothing of what is missing in it. */
function unreadMap({ direction, preserved, address }: Handover, kept: AreaSet): string | undefined {
  if ((preserved?.damage.length ?? 0) > 0) return 'its map could not be read whole';
  // The tree itself is always preserved: a map without it was overwritten.
  const overwritten =
    preserved?.overwritten === true ||
    (direction !== 'outgoing' && address !== undefined && [...kept.gaps({ address, size: PAGE })].length > 0);
  return overwritten ? 'its map is not itself preserved, and was overwritten since the handover was taken' : undefined;
}

/** Everything that is named, by who names it. */
function areasByName(handover: Handover): Map<string, MemoryArea[]> {
  const named = new Map<string, MemoryArea[]>();
  for (const { address, size, what } of namedAreas(handover)) {
    const list = named.get(what);
    if (list === undefined) named.set(what, [{ address, size }]);
    else list.push({ address, size });
  }
  return named;
}

function* checkPresence(kept: AreaSet, memory: PhysicalMemory): Generator<Finding | undefined> {
  const ram = AreaSet.ofRanges(memory.ranges());
  yield findingAbout(
    { severity: 'lost', check: 'ram', about: PRESERVED, message: 'is no RAM that this machine has' },
    flat(kept.areas(), (area) => ram.gaps(area)),
  );
  const { missing, seen } = missingPages(kept, ram, memory);
  if (missing > 0) {
    yield finding('note', 'presence', PRESERVED, `${missing} of ${seen} pages are not in the dump`);
  }
}

function missingPages(kept: AreaSet, ram: AreaSet, memory: PhysicalMemory): { missing: number; seen: number } {
  const present = PAGE_STATES.indexOf('present');
  const states = new Uint8Array(PAGES_AT_ONCE);
  let missing = 0;
  let seen = 0;
  for (const { address, size } of flat(kept.areas(), (area) => ram.within(area))) {
    let page = Math.floor(address / PAGE);
    const end = Math.ceil((address + size) / PAGE);
    while (page < end && seen < MOST_PAGES) {
      const part = states.subarray(0, Math.min(PAGES_AT_ONCE, end - page, MOST_PAGES - seen));
      memory.states(page, part);
      for (const state of part) if (state !== present) missing++;
      page += part.length;
      seen += part.length;
    }
  }
  return { missing, seen };
}

function* flat<T>(list: Iterable<T>, each: (one: T) => Iterable<MemoryArea>): Generator<MemoryArea> {
  for (const one of list) yield* each(one);
}
