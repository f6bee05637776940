import { hex, virtualAddress } from '../bytes/address.js';
import { type Damage, damageOf as damageFrom, ExhumeError } from '../bytes/errors.js';
import { KernelView } from '../kernel/kernel-view.js';
import { chainNodes } from '../kernel/types/lists.js';
import { parseAddress } from './address.js';
import { MOST_ENTRIES, offsetAt, shownOf, valuesAt } from './entries.js';
import { evaluate, numberOf } from './expression.js';
import type { EntryReport, ListReport } from './schema/types.js';
import { requireKernel, type Subject } from './subject.js';
import { type Radix, Values } from './value.js';
import { damageOf } from './words.js';

export interface ListOptions {
  /** Where in each structure the pointer to the next one is: bytes, or `struct.member`. */
  readonly offset?: string | undefined;
  /**
   * What the start is. `entry`: the first structure; the pointers lead from structure to structure.
   * `structure`: a structure with an embedded `list_head`, which is shown too. `head`: a `list_head` that is not shown.
   */
  readonly from: 'entry' | 'structure' | 'head';
  /** Structures to show: `task_struct.pid,comm`. */
  readonly show?: readonly string[] | undefined;
  /** Follow `prev` instead of `next`. */
  readonly reverse?: boolean | undefined;
  /** An address at which to end, not shown. */
  readonly end?: string | undefined;
  readonly radix?: Radix | undefined;
}

/** The entries of a linked list. What stands after damage is not shown; the damage is. Throws EXH_USAGE, EXH_NO_SYMBOL, EXH_NO_LAYOUT. */
export function buildList(subject: Subject, start: string, options: ListOptions): ListReport {
  const kernel = requireKernel(subject);
  const view = new KernelView(kernel);
  const values = new Values(kernel, options.radix);
  const address = startOf(view, start);
  const end = options.end === undefined ? undefined : startOf(view, options.end);
  const offset = options.offset === undefined ? 0 : offsetAt(view, options.offset);
  const shown = shownOf(view, options.show ?? []);
  const entries: EntryReport[] = [];
  const damage: Damage[] = [];
  let ended: ListReport['ended'] = 'head';
  try {
    for (const node of nodes(view, address, BigInt(offset), options)) {
      if (node === 0n) ended = 'null';
      else if (node === end) ended = 'end';
      else {
        if (entries.length >= MOST_ENTRIES) throw new ExhumeError('EXH_BAD_STRUCTURE', 'the list has no end');
        entries.push({ address: hex(node), index: null, last: null, values: valuesAt(node, shown, values) });
        continue;
      }
      break;
    }
  } catch (error) {
    ended = 'damaged';
    damage.push(damageFrom('list', error));
  }
  const all = damageOf(subject, [...damage, ...values.damage]);
  return { schema: 'exhume-list/1', complete: all.length === 0, start: hex(address), ended, entries, damage: all };
}

/** An address, or an expression whose value is one (`init_task.tasks`, `runqueues:0.cfs_tasks`). */
export function startOf(view: KernelView, text: string): bigint {
  if (!/[.>*&(]/.test(text) && !/:\d+$/.test(text)) return parseAddress(text, view.kernel.symbols);
  const [operand] = evaluate(view, text);
  if (operand === undefined) throw new ExhumeError('EXH_USAGE', `"${text}" is no address`, { found: text });
  const scalar = operand.type.stars > 0 || operand.address === undefined;
  return virtualAddress(scalar ? numberOf(view, operand) : (operand.address ?? 0n));
}

/** The structures' addresses; 0 where the list ends with NULL instead of where it began. */
function* nodes(view: KernelView, start: bigint, offset: bigint, { from, reverse }: ListOptions): Generator<bigint> {
  const step = reverse ? 8n : 0n;
  if (from === 'entry') {
    yield* ends(chainNodes(view.memory, start, offset + step, start));
    return;
  }
  const head = from === 'head' ? start : start + offset;
  let first = true;
  for (const node of ends(chainNodes(view.memory, head, step, head))) {
    const shown = !first || from === 'structure';
    first = false;
    if (node === 0n) yield node;
    else if (shown) yield virtualAddress(node - offset);
  }
}

/** The nodes, and 0 at the end when that was not the start. */
function* ends(chain: Generator<bigint, boolean>): Generator<bigint> {
  const atNull = yield* chain;
  if (atNull) yield 0n;
}
