import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type { DecodedNode, Handover, MemoryArea } from '../handover/model.js';
import { PAGE } from '../handover/source-reader.js';
import type { SilentPlace } from '../handover/sources/told.js';
import { namedByAddress, ownedBlocks } from './kho-owners.js';
import { Places } from './kho-places.js';
import type { KhoHandover, KhoHead, KhoLine, KhoReport } from './schema/kho.js';
import { damageReport, hexOrNull } from './words.js';

/** Handovers, and what told nothing of them. */
export interface KhoInput {
  readonly handovers: readonly Handover[];
  readonly silent: readonly SilentPlace[];
  /** Undefined: files are all there is. */
  readonly memory: PhysicalMemory | undefined;
  /** Of the source itself. */
  readonly damage: readonly Damage[];
}

/** What handovers say, for people and programs. */
export function buildKho({ handovers, silent, memory, damage: found }: KhoInput): KhoReport {
  const damage: Damage[] = [...found, ...handovers.flatMap((one) => one.damage)];
  return {
    schema: 'exhume-kho/1',
    complete: damage.length === 0,
    handovers: handovers.map((handover) => handoverReport(handover, new Places(handover, memory?.ranges()))),
    silent: silent.map(({ place, why }) => ({ place, why })),
    damage: damage.map(damageReport),
  };
}

function handoverReport(handover: Handover, places: Places): KhoHandover {
  const { scratch, preserved, users, files, evidence, address: at, tree, series } = handover;
  // In the series of 2023/24 the tree is copied for the next kernel, and is in no map.
  const own = at === undefined || series === '2023' ? undefined : { address: at, size: tree.totalSize };
  return {
    ...headReport(handover),
    place: placeOrNull(places, own),
    scratch: scratch.map(areaReport),
    preserved:
      preserved === undefined || preserved.overwritten
        ? null
        : {
            form: preserved.form,
            own: preserved.own.length,
            bytes: preserved.blocks.reduce((sum, { size }) => sum + size, 0),
            blocks: ownedBlocks(handover, namedByAddress(handover)).map(
              ({ address, size, order, owner, scratch: inside }) => ({
                address: hex(address),
                size,
                order,
                owner: owner ?? null,
                scratch: inside,
              }),
            ),
          },
    users: users.map(({ name, blob, format, content, areas }) => ({
      name,
      blob: blob === undefined ? null : areaReport(blob),
      format,
      place: placeOrNull(places, blob),
      lines: content === undefined ? [] : linesOf(content, 0, places),
      areas: areas.map(({ what, ...area }) => ({ ...areaReport(area), what })),
    })),
    files: files.map(({ name, size, folios }) => ({
      name,
      size,
      folios: folios.length,
      lost: places.isMapKnown ? folios.filter(({ address }) => !places.isKept({ address, size: PAGE })).length : null,
    })),
    evidence: [...evidence],
  };
}

/** What tells handovers apart. */
export function headReport({ compatible, series, direction, address, tree }: Handover): KhoHead {
  return {
    compatible,
    series: series ?? null,
    direction: direction ?? null,
    address: hexOrNull(address),
    totalSize: tree.totalSize,
  };
}

export function areaReport({ address, size }: MemoryArea): { address: string; size: number } {
  return { address: hex(address), size };
}

function placeOrNull(places: Places, area: MemoryArea | undefined): string | null {
  return (area && places.of(area)) || null;
}

function linesOf({ name, values, children }: DecodedNode, depth: number, places: Places): KhoLine[] {
  return [
    { depth, name, value: null, place: null },
    ...values.map((one) => ({
      depth: depth + 1,
      name: one.name,
      value: one.value,
      place: placeOrNull(places, one.area),
    })),
    ...children.flatMap((child) => linesOf(child, depth + 1, places)),
  ];
}
