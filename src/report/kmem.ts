import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { type Counters, readVmStatistics } from '../kernel/memory/counters.js';
import { type MemoryUse, meminfoLines, readMemoryUse } from '../kernel/memory/meminfo.js';
import { readSlabCaches, type SlabCache } from '../kernel/memory/slabs.js';
import { readFreeLists, readZones, type Zone } from '../kernel/memory/zones.js';
import { requireView } from './kernel-view.js';
import { describeAddresses, vmallocAreas } from './kmem-address.js';
import type { KmemReport, MemoryUseReport, SlabCacheReport, ZoneReport } from './schema/kmem.js';
import type { Subject } from './subject.js';
import { damageOf } from './words.js';

/** What to tell of the kernel's memory. */
export interface KmemOptions {
  readonly use?: boolean | undefined;
  readonly slabs?: boolean | undefined;
  /** Only slab caches of these names or addresses. */
  readonly caches?: readonly string[];
  readonly zones?: boolean | undefined;
  /** The free lists of the zones. */
  readonly free?: boolean | undefined;
  readonly statistics?: boolean | undefined;
  /** The areas of vmalloc. */
  readonly areas?: boolean | undefined;
  /** Addresses or symbols of which to tell what they are; physical addresses, too. */
  readonly addresses?: readonly string[];
}

/** How the kernel's memory was used. Throws EXH_NO_KERNEL, EXH_NO_LAYOUT. */
export function buildKmem(subject: Subject, options: KmemOptions = { use: true }): KmemReport {
  const view = requireView(subject);
  const found: Damage[] = [];
  const memory = options.use ? memoryUse(readMemoryUse(view, found)) : null;
  const caches = options.slabs ? readSlabCaches(view, found).map(slabCache) : null;
  const names = options.caches ?? [];
  const isNamed = ({ name, cache }: SlabCacheReport, wanted: string): boolean =>
    name === wanted || cache === `0x${wanted.replace(/^0x/, '')}`;
  const unmatched = names.filter((wanted) => !caches?.some((cache) => isNamed(cache, wanted)));
  const zones = options.zones || options.free ? zoneReports(view, options.free === true, found) : null;
  const statistics = options.statistics ? readVmStatistics(view, found) : null;
  const areas = options.areas ? vmallocAreas(view, found) : null;
  const addresses = describeAddresses(view, options.addresses ?? [], found);
  const damage = damageOf(subject, found);
  return {
    schema: 'exhume-kmem/1',
    complete: damage.length === 0 && unmatched.length === 0,
    memory,
    slabs:
      caches === null || names.length === 0
        ? caches
        : caches.filter((cache) => names.some((wanted) => isNamed(cache, wanted))),
    zones,
    statistics:
      statistics === null
        ? null
        : {
            zone: counterList(statistics.zone),
            node: counterList(statistics.node),
            events: counterList(statistics.events),
          },
    areas,
    addresses,
    unmatched,
    damage,
  };
}

function memoryUse(use: MemoryUse): MemoryUseReport {
  const orNull = (pages: number | undefined): number | null => pages ?? null;
  return {
    pageSize: use.pageSize,
    total: orNull(use.total),
    free: orNull(use.free),
    available: orNull(use.available),
    buffers: orNull(use.buffers),
    cached: orNull(use.cached),
    swapCached: orNull(use.swapCached),
    shared: orNull(use.shared),
    slab: orNull(use.slab),
    slabReclaimable: orNull(use.slabReclaimable),
    hugeTotal: orNull(use.hugeTotal),
    hugeFree: orNull(use.hugeFree),
    swapTotal: orNull(use.swapTotal),
    swapFree: orNull(use.swapFree),
    commitLimit: orNull(use.commitLimit),
    committed: orNull(use.committed),
    meminfo: meminfoLines(use).map(({ name, kilobytes }) => ({ name, kilobytes: orNull(kilobytes) })),
  };
}

function slabCache({ address, ...cache }: SlabCache): SlabCacheReport {
  return {
    cache: hex(address),
    name: cache.name,
    objectSize: cache.objectSize,
    size: cache.size,
    objectsPerSlab: cache.objectsPerSlab,
    slabSize: cache.slabSize,
    slabs: cache.slabs ?? null,
    total: cache.total ?? null,
    allocated: cache.allocated ?? null,
  };
}

function zoneReports(view: KernelView, free: boolean, damage: Damage[]): ZoneReport[] {
  return readZones(view, damage).map((zone) => ({
    node: zone.node,
    index: zone.index,
    zone: hex(zone.zone.address),
    name: zone.name,
    spanned: zone.spanned,
    present: zone.present,
    managed: zone.managed,
    startPfn: zone.startPfn,
    watermarks: { ...zone.watermarks },
    counters: counterList(zone.counters),
    freeLists: free && zone.spanned > 0 ? freeLists(view, zone, damage) : null,
  }));
}

function freeLists(view: KernelView, zone: Zone, damage: Damage[]): ZoneReport['freeLists'] {
  const lists = attempt(damage, `free lists of zone ${zone.name}`, () => readFreeLists(view, zone, damage));
  return (
    lists?.map(({ order, migrationType, address, blocks }) => ({
      order,
      migrationType,
      list: hex(address),
      blocks: blocks ?? null,
    })) ?? null
  );
}

function counterList(counters: Counters): { name: string; value: number }[] {
  return [...counters].map(([name, value]) => ({ name, value: Number(value) }));
}
