import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { readSwapAreas } from '../kernel/memory/swap.js';
import { requireView } from './kernel-view.js';
import type { SwapReport } from './schema/swap.js';
import type { Subject } from './subject.js';
import { damageOf } from './words.js';

/** The swap areas in use. Throws EXH_NO_KERNEL, EXH_NO_LAYOUT. */
export function buildSwap(subject: Subject): SwapReport {
  const view = requireView(subject);
  const found: Damage[] = [];
  const pageSize = view.memory.physical.pageSize;
  const areas = readSwapAreas(view, found).map(({ address, kind, pages, used, priority, path }) => ({
    info: hex(address),
    type: kind,
    size: pages * pageSize,
    used: used * pageSize,
    priority,
    path,
  }));
  const damage = damageOf(subject, found);
  return { schema: 'exhume-swap/1', complete: damage.length === 0, areas, damage };
}
