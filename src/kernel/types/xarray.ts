import { viewOf } from '../../bytes/struct-table.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import { type KernelTypes, noLayout, type StructType } from './kernel-types.js';
import { Struct } from './struct.js';
import { WalkDamage } from './walk.js';

/** An entry of an XArray, radix tree or IDR. */
export interface XarrayEntry {
  /** The index (page offset, identifier) that it is stored at; of a multi-index entry, the first. */
  readonly index: bigint;
  /** As it is stored: a pointer, or a value entry (`xarrayValue`). */
  readonly entry: bigint;
}

/** Marks of internal entries: XArray has 2 in the low two bits (include/linux/xarray.h), radix trees before 4.20 had 1. */
interface Shape {
  readonly head: number;
  readonly node: StructType;
  readonly isNode: (entry: bigint) => boolean;
  readonly isInternal: (entry: bigint) => boolean;
}

/** Indexes from `from` to before `to`. */
export interface XarrayRange {
  readonly from: bigint;
  readonly to: bigint;
}

/** Bytes that an error pointer or sibling entry lies below, and no node does. */
const LOWEST_NODE = 4096n;
/** 64 bits of index in steps of at least 4. */
const DEEPEST = 16;

/** What a value entry holds; undefined for a pointer. An XArray's have the lowest bit set (`xa_to_value`). */
export function xarrayValue(entry: bigint): bigint | undefined {
  return (entry & 1n) === 1n ? entry >> 1n : undefined;
}

/**
 * The entries of an XArray, ascending by index, given the address of its `struct xarray`, or of its
 * `struct radix_tree_root` in kernels that still have that (before 4.20). Retry, sibling and reserved entries are left out.
 * A node that does not name its parent, slot and shift ends its branch; when the others are yielded the first such
 * error is thrown: EXH_BAD_STRUCTURE, or memory's own. Throws EXH_NO_LAYOUT where the types are not known.
 * @param range only entries of these indexes; branches without any of them are not read
 */
export function* xarrayEntries(
  memory: VirtualMemory,
  types: KernelTypes,
  address: bigint,
  range?: XarrayRange,
): Generator<XarrayEntry> {
  const shape = shapeOf(types);
  const head = memory.u64(address + BigInt(shape.head));
  if (head === 0n) return;
  if (!shape.isNode(head)) {
    if (!shape.isInternal(head) && (range === undefined || range.from === 0n)) yield { index: 0n, entry: head };
    return;
  }
  const walk = new XarrayWalk(memory, shape, range);
  yield* walk.node(head & ~3n, 0n, 0, undefined, 0n);
  walk.damage.finish();
}

/** The entries of an IDR (`struct idr`), ascending by identifier, its `idr_base` counted in. */
export function* idrEntries(memory: VirtualMemory, types: KernelTypes, address: bigint): Generator<XarrayEntry> {
  const idr = new Struct(memory, types.requireStruct('idr'), address as Struct['address']);
  const base = idr.has('idr_base') ? BigInt(idr.int('idr_base')) : 0n;
  for (const { index, entry } of xarrayEntries(memory, types, idr.addressOf('idr_rt'))) {
    yield { index: index + base, entry };
  }
}

function shapeOf(types: KernelTypes): Shape {
  const xarray = types.struct('xarray');
  const node = types.struct('xa_node');
  if (xarray !== undefined && node !== undefined) {
    const isInternal = (entry: bigint): boolean => (entry & 3n) === 2n;
    return {
      head: xarray.require('xa_head').offset,
      node,
      isInternal,
      isNode: (entry) => isInternal(entry) && entry > LOWEST_NODE,
    };
  }
  const root = types.struct('radix_tree_root');
  const old = types.struct('radix_tree_node');
  if (root === undefined || old === undefined) throw noLayout('struct xarray, nor a struct radix_tree_root');
  const isInternal = (entry: bigint): boolean => (entry & 3n) === 1n;
  return {
    head: root.require('rnode').offset,
    node: old,
    isInternal,
    isNode: (entry) => isInternal(entry) && entry > LOWEST_NODE,
  };
}

class XarrayWalk {
  readonly damage = new WalkDamage('an XArray');
  private readonly size: number;
  private readonly shift: number;
  private readonly offset: number;
  private readonly parent: number;
  private readonly slots: number;
  private readonly slotCount: number;
  /** Bits of index that a level decides. */
  private readonly step: bigint;

  constructor(
    private readonly memory: VirtualMemory,
    private readonly shape: Shape,
    private readonly range: XarrayRange | undefined,
  ) {
    const { node } = shape;
    this.size = node.size;
    this.shift = node.require('shift').offset;
    this.offset = node.require('offset').offset;
    this.parent = node.require('parent').offset;
    const slots = node.require('slots');
    this.slots = slots.offset;
    this.slotCount = slots.size / 8;
    this.step = BigInt(Math.log2(this.slotCount));
  }

  /** The entries below a node, whose `shift` must be `expected` (the root's may be any). */
  *node(
    address: bigint,
    from: bigint,
    slot: number,
    expected: bigint | undefined,
    base: bigint,
    depth = 0,
  ): Generator<XarrayEntry> {
    const view = this.damage.attempt(() => this.read(address, from, slot, expected, depth));
    if (view === undefined) return;
    const { littleEndian } = this.memory;
    const shift = BigInt(view.getUint8(this.shift));
    for (let index = 0; index < this.slotCount; index++) {
      const entry = view.getBigUint64(this.slots + index * 8, littleEndian);
      if (entry === 0n) continue;
      const at = base + (BigInt(index) << shift);
      if (this.range !== undefined && (at >= this.range.to || at + (1n << shift) <= this.range.from)) continue;
      if (this.shape.isNode(entry) && shift > 0n) {
        yield* this.node(entry & ~3n, address, index, shift - this.step, at, depth + 1);
      } else if (!this.shape.isInternal(entry)) {
        yield { index: at, entry };
      }
    }
  }

  /** That each node names its parent and slot holds the walk to each node once. */
  private read(address: bigint, from: bigint, slot: number, expected: bigint | undefined, depth: number): DataView {
    this.damage.count(address);
    const view = viewOf(this.memory.bytes(address, this.size));
    const shift = BigInt(view.getUint8(this.shift));
    if (shift > 64n || shift % this.step !== 0n || (expected !== undefined && shift !== expected) || depth > DEEPEST) {
      throw this.damage.bad('has a node that does not stand at its level', address);
    }
    // The root keeps whatever offset it was made with.
    const named = view.getBigUint64(this.parent, this.memory.littleEndian);
    if (named !== from || (from !== 0n && view.getUint8(this.offset) !== slot)) {
      throw this.damage.bad('has a node that names another parent', address);
    }
    return view;
  }
}
