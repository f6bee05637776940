import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import type { DecodedNode, Handover, MemoryArea } from '../handover/model.js';
import type { SilentPlace } from '../handover/sources/told.js';
import { namedAreas, ownedBlocks } from './kho-owners.js';
import type { KhoHandover, KhoHead, KhoLine, KhoReport } from './schema/kho.js';
import { damageReport, hexOrNull } from './words.js';

/** Handovers, and what told nothing of them. */
export interface KhoInput {
  readonly handovers: readonly Handover[];
  readonly silent: readonly SilentPlace[];
  /** Of the source itself. */
  readonly damage: readonly Damage[];
}

/** What handovers say, for people and programs. */
export function buildKho({ handovers, silent, damage: found }: KhoInput): KhoReport {
  const damage: Damage[] = [...found, ...handovers.flatMap((one) => one.damage)];
  return {
    schema: 'exhume-kho/1',
    complete: damage.length === 0,
    handovers: handovers.map(handoverReport),
    silent: silent.map(({ place, why }) => ({ place, why })),
    damage: damage.map(damageReport),
  };
}

function handoverReport(handover: Handover): KhoHandover {
  const { scratch, preserved, users, files, evidence } = handover;
  return {
    ...headReport(handover),
    scratch: scratch.map(areaReport),
    preserved:
      preserved === undefined || preserved.overwritten
        ? null
        : {
            form: preserved.form,
            bytes: preserved.blocks.reduce((sum, { size }) => sum + size, 0),
            blocks: ownedBlocks(handover, namedAreas(handover)).map(
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
      lines: content === undefined ? [] : linesOf(content, 0),
      areas: areas.map(({ what, ...area }) => ({ ...areaReport(area), what })),
    })),
    files: files.map(({ name, size, folios }) => ({ name, size, folios: folios.length })),
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

function linesOf({ name, values, children }: DecodedNode, depth: number): KhoLine[] {
  return [
    { depth, name, value: null },
    ...values.map((one) => ({ depth: depth + 1, name: one.name, value: one.value })),
    ...children.flatMap((child) => linesOf(child, depth + 1)),
  ];
}
