import type { VirtualAddress } from '../../bytes/address.js';
import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { attempt, collect } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import { listNodes } from '../types/lists.js';
import type { Struct } from '../types/struct.js';
import { type Counters, countersAt } from './counters.js';

/** A zone of a memory node; include/linux/mmzone.h. Amounts are in pages. */
export interface Zone {
  readonly node: number;
  /** Its place in the node: what crash calls ZONE. */
  readonly index: number;
  readonly zone: Struct;
  /** `DMA32`, `Normal`. */
  readonly name: string;
  readonly spanned: number;
  readonly present: number;
  readonly managed: number;
  readonly startPfn: number;
  /** The watermarks, the boost not added. */
  readonly watermarks: { readonly min: number; readonly low: number; readonly high: number };
  readonly counters: Counters;
}

/** A list of free blocks of one order and migration type. */
export interface FreeList {
  readonly order: number;
  /** `Unmovable`, `Movable`. */
  readonly migrationType: string;
  /** The head of the list. */
  readonly address: VirtualAddress;
  /** Undefined when the list is broken. */
  readonly blocks: number | undefined;
}

/** MAX_NUMNODES is at most 1 << 10. */
const MOST_NODES = 1024;

/** The zones of all online nodes. */
export function readZones(view: KernelView, damage: Damage[]): Zone[] {
  const zones: Zone[] = [];
  for (const [node, data] of nodesOf(view, damage)) {
    attempt(damage, `zones of node ${node}`, () => {
      const field = data.type.require('node_zones');
      const type = view.types.requireStruct('zone');
      const count = Math.min(data.int('nr_zones') || 0, Math.floor(field.size / type.size));
      const all = Math.floor(field.size / type.size);
      for (let index = 0; index < all; index++) {
        const zone = view.struct('zone', data.address + BigInt(field.offset + index * type.size));
        zones.push(readZone(view, node, index, zone, index < count));
      }
    });
  }
  return zones;
}

/** `node_data[]`, or `contig_page_data` of a kernel for one node. */
function nodesOf(view: KernelView, damage: Damage[]): [number, Struct][] {
  const part = 'memory nodes';
  const single = view.kernel.symbols.address('contig_page_data');
  if (single !== undefined) return [[0, view.struct('pglist_data', single)]];
  return (
    attempt(damage, part, () => {
      const table = view.address('node_data');
      return onlineNodes(view).map((node): [number, Struct] => [
        node,
        view.struct('pglist_data', view.memory.pointer(table + BigInt(node * 8))),
      ]);
    }) ?? []
  );
}

/** The nodes in `node_states[N_ONLINE]`; node 0 where that is not to be had. */
export function onlineNodes(view: KernelView): number[] {
  const states = view.kernel.symbols.address('node_states');
  const online = view.types.enumerator('N_ONLINE');
  const mask = view.types.struct('nodemask_t');
  if (states === undefined || online === undefined || mask === undefined) return [0];
  const bits = view.memory.bytes(states + online * BigInt(mask.size), Math.min(mask.size, MOST_NODES / 8));
  return Array.from({ length: bits.length * 8 }, (_, node) => node).filter(
    (node) => (((bits[node >> 3] ?? 0) >> (node & 7)) & 1) === 1,
  );
}

function readZone(view: KernelView, node: number, index: number, zone: Struct, used: boolean): Zone {
  const name = zone.pointer('name') === 0n && !used ? `zone ${index}` : zone.string('name', 32);
  const watermarks = zone.has('_watermark') ? '_watermark' : 'watermark';
  const mark = (at: number): number => Number(view.memory.u64(zone.addressOf(watermarks) + BigInt(at * 8)));
  return {
    node,
    index,
    zone,
    name,
    spanned: zone.int('spanned_pages'),
    present: zone.int('present_pages'),
    managed: zone.int(zone.has('managed_pages.counter') ? 'managed_pages.counter' : 'managed_pages'),
    startPfn: zone.int('zone_start_pfn'),
    watermarks: { min: mark(0), low: mark(1), high: mark(2) },
    counters: countersAt(view, zone.addressOf('vm_stat'), 'zone_stat_item', 'NR_VM_ZONE_STAT_ITEMS'),
  };
}

/** The free blocks of a zone by order and migration type, as the buddy allocator lists them. */
export function readFreeLists(view: KernelView, { zone, name }: Zone, damage: Damage[]): FreeList[] {
  const lists: FreeList[] = [];
  const areas = zone.type.require('free_area');
  const area = view.types.requireStruct('free_area');
  const heads = area.require('free_list');
  const head = view.types.requireStruct('list_head').size;
  const types = migrationTypes(view, Math.floor(heads.size / head));
  const most = zone.int('spanned_pages');
  for (let order = 0; (order + 1) * area.size <= areas.size; order++) {
    for (const [index, migrationType] of types.entries()) {
      const at = zone.address + BigInt(areas.offset + order * area.size + heads.offset + index * head);
      lists.push({ order, migrationType, address: at as VirtualAddress, blocks: count(view, at, most, name, damage) });
    }
  }
  return lists;
}

function count(view: KernelView, head: bigint, most: number, zone: string, damage: Damage[]): number | undefined {
  return attempt(damage, `free lists of zone ${zone}`, () => {
    let blocks = 0;
    for (const _ of listNodes(view.memory, head)) {
      if (++blocks > most)
        throw new ExhumeError('EXH_BAD_STRUCTURE', 'a free list has more blocks than the zone pages');
    }
    return blocks;
  });
}

/** `migratetype_names`, as /proc/pagetypeinfo prints them. */
function migrationTypes(view: KernelView, length: number): string[] {
  const table = view.kernel.symbols.address('migratetype_names');
  return Array.from({ length }, (_, index) => {
    const name = collect([], 'names', names(view, table, index));
    return name[0] ?? String(index);
  });
}

function* names(view: KernelView, table: VirtualAddress | undefined, index: number): Generator<string> {
  if (table !== undefined) yield view.memory.string(view.memory.pointer(table + BigInt(index * 8)), 32);
}
