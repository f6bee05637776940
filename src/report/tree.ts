import { hex, virtualAddress } from '../bytes/address.js';
import { type Damage, damageOf as damageFrom, ExhumeError } from '../bytes/errors.js';
import { KernelView } from '../kernel/kernel-view.js';
import { mapleRanges } from '../kernel/types/maple-tree.js';
import { rbtreeNodes } from '../kernel/types/rbtree.js';
import { idrEntries, xarrayEntries } from '../kernel/types/xarray.js';
import { MOST_ENTRIES, offsetAt, shownOf, valuesAt } from './entries.js';
import { startOf } from './list.js';
import type { EntryReport, TreeReport } from './schema/types.js';
import { requireKernel, type Subject } from './subject.js';
import { type Radix, Values } from './value.js';
import { damageOf } from './words.js';

export interface TreeOptions {
  readonly type: TreeReport['type'];
  /** Of a red-black tree: where in each structure its node is: bytes, or `struct.member`. */
  readonly offset?: string | undefined;
  /** Where in the structure at the start the tree's root is: bytes, or `struct.member`. */
  readonly rootOffset?: string | undefined;
  /** Structures to show: `vm_area_struct.vm_start,vm_end`. */
  readonly show?: readonly string[] | undefined;
  readonly radix?: Radix | undefined;
}

/** What a tree holds, in order. Branches that are damaged are left out and told. Throws EXH_USAGE, EXH_NO_SYMBOL, EXH_NO_LAYOUT. */
export function buildTree(subject: Subject, start: string, options: TreeOptions): TreeReport {
  const kernel = requireKernel(subject);
  const view = new KernelView(kernel);
  const values = new Values(kernel, options.radix);
  const shown = shownOf(view, options.show ?? []);
  const inside = options.rootOffset === undefined ? 0 : offsetAt(view, options.rootOffset);
  const root = virtualAddress(startOf(view, start) + BigInt(inside));
  const offset = options.offset === undefined ? 0n : BigInt(offsetAt(view, options.offset));
  const entries: EntryReport[] = [];
  const damage: Damage[] = [];
  try {
    for (const entry of walk(view, options.type, root, offset)) {
      if (entries.length >= MOST_ENTRIES) throw new ExhumeError('EXH_BAD_STRUCTURE', 'the tree has no end');
      const { address, index, last } = entry;
      entries.push({ address: hex(address), index, last, values: valuesAt(address, shown, values) });
    }
  } catch (error) {
    damage.push(damageFrom('tree', error));
  }
  const all = damageOf(subject, [...damage, ...values.damage]);
  const complete = all.length === 0;
  return { schema: 'exhume-tree/1', complete, type: options.type, root: hex(root), entries, damage: all };
}

interface TreeEntry {
  readonly address: bigint;
  readonly index: string | null;
  readonly last: string | null;
}

function* walk(view: KernelView, type: TreeReport['type'], root: bigint, offset: bigint): Generator<TreeEntry> {
  const { memory, types } = view;
  if (type === 'rbtree') {
    for (const node of rbtreeNodes(memory, root)) {
      yield { address: virtualAddress(node - offset), index: null, last: null };
    }
  } else if (type === 'maple') {
    for (const { first, last, entry } of mapleRanges(memory, types, root)) {
      yield { address: entry, index: hex(first), last: hex(last) };
    }
  } else {
    const entries = type === 'idr' ? idrEntries : xarrayEntries;
    for (const { index, entry } of entries(memory, types, root))
      yield { address: entry, index: hex(index), last: null };
  }
}
