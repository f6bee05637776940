import { attempt } from '../../kernel/collect.js';
import { readZones } from '../../kernel/memory/zones.js';
import { listNodes } from '../../kernel/types/lists.js';
import type { Blanking } from './blanking.js';
import { ON_LIST } from './slab-objects.js';

const PAGES = 'pages on CPU free lists';
const OBJECTS = 'free slab objects';
/** Bytes of a pointer. */
const LINK = 8;
/** `NR_LOWORDER_PCP_LISTS`: lists for orders 0 to PAGE_ALLOC_COSTLY_ORDER; behind them are those of huge pages. */
const LOW_ORDERS = 4;
const HUGE_ORDER = 9;

/** What free objects of slabs still hold, and what is behind the last object; the links between them stay. */
export function scrubFreeObjects(blanking: Blanking): void {
  blanking.count(OBJECTS, 0, 0);
  const pool = kfencePool(blanking);
  for (const { cache, start, end, objects, free } of blanking.slabs.slabs()) {
    if (free === undefined || (pool !== undefined && start >= pool.start && start < pool.end)) continue;
    const { size, pad, link } = cache;
    for (let number = 0; number < objects; number++) {
      if (free[number] === 0) continue;
      const object = start + number * size;
      const hole = object + pad + link;
      if (free[number] === ON_LIST) {
        blanking.add(OBJECTS, object, hole);
        blanking.add(OBJECTS, hole + LINK, object + size);
      } else {
        blanking.add(OBJECTS, object, object + size);
      }
      blanking.count(OBJECTS, 1, 0);
    }
    blanking.add(OBJECTS, start + objects * size, end);
  }
}

/** KFENCE_POOL_SIZE with the default of 255 objects, in bytes. Its objects lie in their pages wherever it pleases. */
const KFENCE_POOL = 2 << 20;

function kfencePool({ view, damage }: Blanking): { start: number; end: number } | undefined {
  const variable = view.kernel.symbols.address('__kfence_pool');
  if (variable === undefined) return undefined;
  return attempt(damage, 'KFENCE', () => {
    const address = view.memory.pointer(variable);
    const start = address === 0n ? undefined : view.memory.translate(address);
    return start === undefined ? undefined : { start, end: start + KFENCE_POOL };
  });
}

/** Free pages that CPUs keep for themselves: the buddy allocator, and so the class of free pages, knows nothing of them. */
export function scrubCpuFreePages(blanking: Blanking): void {
  const { view, damage } = blanking;
  blanking.count(PAGES, 0, 0);
  const page = view.types.requireStruct('page');
  const type = view.types.requireStruct('per_cpu_pages');
  const lists = type.require('lists');
  const head = view.types.requireStruct('list_head').size;
  const perOrder = Number(view.types.enumerator('MIGRATE_PCPTYPES') ?? 3n);
  const link = page.field('pcp_list') ?? page.require('lru');
  for (const { zone, spanned } of readZones(view, damage)) {
    const path = ['per_cpu_pageset', 'pageset'].find((name) => zone.has(name));
    if (path === undefined || spanned === 0) continue;
    for (const cpu of view.cpus('possible')) {
      const own = view.perCpu(zone.pointer(path), cpu);
      const nested = view.types.struct('per_cpu_pageset')?.field('pcp')?.offset ?? 0;
      for (let index = 0; (index + 1) * head <= lists.size; index++) {
        const order = Math.floor(index / perOrder);
        const count = 2 ** (order < LOW_ORDERS ? order : HUGE_ORDER);
        const list = own + BigInt((path === 'pageset' ? nested : 0) + lists.offset + index * head);
        blanking.attempt(PAGES, () => {
          for (const node of listNodes(view.memory, list)) {
            blanking.dropPage(PAGES, node - BigInt(link.offset), count);
          }
        });
      }
    }
  }
}
