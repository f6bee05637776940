import { virtualAddress } from '../../bytes/address.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import type { KernelTypes } from './kernel-types.js';
import { Struct } from './struct.js';
import { WalkDamage } from './walk.js';

/** What a maple tree stores for a range of indices; both ends belong to it. */
export interface MapleRange {
  readonly first: bigint;
  readonly last: bigint;
  /** As it is stored: mostly a pointer. */
  readonly entry: bigint;
}

/** Where a kind of node keeps its pivots (the last index of each slot) and its slots. */
interface Layout {
  readonly pivots: number;
  readonly pivotCount: number;
  readonly slots: number;
  readonly slotCount: number;
  readonly leaf: boolean;
}

interface Layouts {
  readonly size: number;
  /** By `enum maple_type`. */
  readonly byType: ReadonlyMap<number, Layout>;
}

/** A pointer to a node has `enum maple_type` in bits 3 to 6, and nodes are aligned to 256 bytes (lib/maple_tree.c). */
const TYPE_SHIFT = 3n;
const TYPE_MASK = 0xfn;
const NODE_MASK = 0xffn;
/** The slot in `parent` of a node with 64-bit pivots. */
const SLOT_MASK = 0xf8n;
const SLOT_SHIFT = 3n;
const IS_ROOT = 1n;

/** Internal entries have 2 in the low two bits, and those of up to 4096 are reserved. */
const LOWEST_NODE = 4096n;
const HIGHEST = (1n << 64n) - 1n;
/** MAPLE_HEIGHT_MAX. */
const DEEPEST = 31;

/**
 * What a maple tree stores, ascending, given the address of its `struct maple_tree` (6.1 and later; layouts of its
 * nodes from BTF). A node that does not name its parent and slot, or whose pivots do not ascend, ends its branch; when
 * the others are yielded the first such error is thrown: EXH_BAD_STRUCTURE, or memory's own.
 * Throws EXH_NO_LAYOUT for a kernel without maple trees.
 */
export function* mapleRanges(memory: VirtualMemory, types: KernelTypes, address: bigint): Generator<MapleRange> {
  const tree = new Struct(memory, types.requireStruct('maple_tree'), virtualAddress(address));
  const root = tree.pointer('ma_root');
  if (root === 0n) return;
  if (!isNode(root)) {
    if (!isInternal(root)) yield { first: 0n, last: 0n, entry: root };
    return;
  }
  const walk = new MapleWalk(memory, layoutsOf(types));
  yield* walk.node(root, { first: 0n, last: HIGHEST }, undefined, 0);
  walk.damage.finish();
}

function isInternal(entry: bigint): boolean {
  return (entry & 3n) === 2n;
}

function isNode(entry: bigint): boolean {
  return isInternal(entry) && entry > LOWEST_NODE;
}

const kept = new WeakMap<KernelTypes, Layouts>();

function layoutsOf(types: KernelTypes): Layouts {
  const known = kept.get(types);
  if (known !== undefined) return known;
  const node = types.requireStruct('maple_node');
  const layout = (name: string, leaf: boolean): Layout => {
    const type = types.requireStruct(name);
    const pivot = type.require('pivot');
    const slot = type.require('slot');
    return {
      pivots: pivot.offset,
      pivotCount: pivot.size / 8,
      slots: slot.offset,
      slotCount: slot.size / 8,
      leaf,
    };
  };
  const slots = node.require('slot');
  const kinds = types.enumeration('maple_type') ?? new Map<string, bigint>();
  const byType = new Map<number, Layout>();
  const put = (kind: string, made: Layout): void => {
    const value = kinds.get(kind);
    if (value !== undefined) byType.set(Number(value), made);
  };
  put('maple_dense', { pivots: 0, pivotCount: 0, slots: slots.offset, slotCount: slots.size / 8, leaf: true });
  put('maple_leaf_64', layout('maple_range_64', true));
  put('maple_range_64', layout('maple_range_64', false));
  put('maple_arange_64', layout('maple_arange_64', false));
  const layouts = { size: node.size, byType };
  kept.set(types, layouts);
  return layouts;
}

interface Range {
  readonly first: bigint;
  readonly last: bigint;
}

interface Parent {
  readonly address: bigint;
  readonly slot: number;
}

class MapleWalk {
  readonly damage = new WalkDamage('a maple tree');

  constructor(
    private readonly memory: VirtualMemory,
    private readonly layouts: Layouts,
  ) {}

  *node(encoded: bigint, within: Range, parent: Parent | undefined, depth: number): Generator<MapleRange> {
    const address = encoded & ~NODE_MASK;
    const read = this.damage.attempt(() => this.read(encoded, address, parent, depth));
    if (read === undefined) return;
    const { view, layout } = read;
    let { first } = within;
    for (let slot = 0; slot < layout.slotCount && first <= within.last; slot++) {
      const last = this.pivot(view, layout, slot, first, within);
      if (last < first || last > within.last) {
        this.damage.keep(this.damage.bad('has pivots that do not ascend', address));
        return;
      }
      const entry = view.getBigUint64(layout.slots + slot * 8, this.memory.littleEndian);
      if (!layout.leaf) {
        if (entry !== 0n) yield* this.node(entry, { first, last }, { address, slot }, depth + 1);
      } else if (entry !== 0n && !isInternal(entry)) {
        yield { first, last, entry };
      }
      first = last + 1n;
    }
  }

  /** The last index of a slot: its pivot, or where that is not written the end of the node's range. */
  private pivot(view: DataView, layout: Layout, slot: number, first: bigint, within: Range): bigint {
    if (layout.pivotCount === 0) return first;
    if (slot >= layout.pivotCount) return within.last;
    const pivot = view.getBigUint64(layout.pivots + slot * 8, this.memory.littleEndian);
    return pivot === 0n && slot > 0 ? within.last : pivot;
  }

  /** That each node names its parent and slot holds the walk to each node once. */
  private read(
    encoded: bigint,
    address: bigint,
    parent: Parent | undefined,
    depth: number,
  ): { readonly view: DataView; readonly layout: Layout } {
    this.damage.count(address);
    const layout = this.layouts.byType.get(Number((encoded >> TYPE_SHIFT) & TYPE_MASK));
    if (layout === undefined) throw this.damage.bad('has a node of unknown type', address);
    if (depth > DEEPEST) throw this.damage.bad('is deeper than one can be', address);
    const view = viewOf(this.memory.bytes(address, this.layouts.size));
    const named = view.getBigUint64(0, this.memory.littleEndian);
    const right =
      parent === undefined
        ? (named & IS_ROOT) === IS_ROOT
        : (named & ~NODE_MASK) === parent.address && Number((named & SLOT_MASK) >> SLOT_SHIFT) === parent.slot;
    if (!right) throw this.damage.bad('has a node that names another parent', address);
    return { view, layout };
  }
}
