import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import type { DecodedNode, Handover, MemoryArea, PreservedBlock } from '../handover/model.js';
import type { SilentPlace } from '../handover/sources/told.js';
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
      preserved === undefined
        ? null
        : {
            form: preserved.form,
            bytes: preserved.blocks.reduce((sum, { size }) => sum + size, 0),
            blocks: joined(preserved.blocks, ownersOf(handover), scratch),
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

interface Owned extends MemoryArea {
  readonly owner: string;
}

/** Everything that somebody names: the tree, descriptions, and what these lead to. */
function ownersOf({ address, tree, users }: Handover): Owned[] {
  const owned: Owned[] = address === undefined ? [] : [{ address, size: tree.totalSize, owner: 'the tree' }];
  for (const { name, blob, areas } of users) {
    if (blob !== undefined) owned.push({ ...blob, owner: name });
    for (const area of areas) owned.push({ ...area, owner: area.what });
  }
  return owned.sort((a, b) => a.address - b.address);
}

type Block = NonNullable<KhoHandover['preserved']>['blocks'][number];

function joined(blocks: readonly PreservedBlock[], owners: readonly Owned[], scratch: readonly MemoryArea[]): Block[] {
  const rows: (Omit<Block, 'address'> & { address: number })[] = [];
  for (const block of blocks) {
    const owner = owners.find((one) => overlaps(one, block))?.owner ?? null;
    const inScratch = scratch.some((one) => overlaps(one, block));
    const last = rows.at(-1);
    if (
      last !== undefined &&
      last.address + last.size === block.address &&
      last.order === block.order &&
      last.owner === owner &&
      last.scratch === inScratch
    ) {
      last.size += block.size;
    } else {
      rows.push({ address: block.address, size: block.size, order: block.order, owner, scratch: inScratch });
    }
  }
  return rows.map((row) => ({ ...row, address: hex(row.address) }));
}

function overlaps(one: MemoryArea, other: MemoryArea): boolean {
  return one.address < other.address + other.size && other.address < one.address + one.size;
}
