import type {
  AddressReport,
  KmemReport,
  MemoryUseReport,
  SlabCacheReport,
  StatisticsReport,
  VmallocAreaReport,
  ZoneReport,
} from '../schema/kmem.js';
import { columns } from './columns.js';
import { digits16, printable } from './page.js';

/** `table` as crash's `kmem -i`, `meminfo` as /proc/meminfo. */
export type MemoryStyle = 'table' | 'meminfo';

export function* kmemText(model: KmemReport, style: MemoryStyle): Generator<string> {
  const parts: Iterable<string>[] = [];
  if (model.memory !== null) parts.push(style === 'meminfo' ? meminfo(model.memory) : memoryTable(model.memory));
  if (model.slabs !== null) parts.push(slabTable(model.slabs));
  if (model.statistics !== null) parts.push(statisticsLists(model.statistics));
  if (model.zones !== null) parts.push(zoneLists(model.zones));
  if (model.areas !== null) parts.push(areaTable(model.areas));
  parts.push(...model.addresses.map(addressLines));
  for (const [index, part] of parts.entries()) {
    if (index > 0) yield '';
    yield* part;
  }
  for (const name of model.unmatched) yield `no slab cache is ${printable(name)}`;
}

type Whole = { readonly name: string; readonly pages: number | null };

function* memoryTable(use: MemoryUseReport): Generator<string> {
  const used = use.total === null || use.free === null ? null : use.total - use.free;
  const swapUsed = use.swapTotal === null || use.swapFree === null ? null : use.swapTotal - use.swapFree;
  const total: Whole = { name: 'TOTAL MEM', pages: use.total };
  const huge: Whole = { name: 'TOTAL HUGE', pages: use.hugeTotal };
  const swap: Whole = { name: 'TOTAL SWAP', pages: use.swapTotal };
  const limit: Whole = { name: 'TOTAL LIMIT', pages: use.commitLimit };
  const row = (label: string, pages: number | null, of?: Whole): string =>
    [
      label.padStart(13),
      String(pages ?? '?').padStart(8),
      amount(pages, use.pageSize).padStart(12),
      of === undefined ? '        ----' : ` ${share(pages, of).padStart(4)} of ${of.name}`,
    ].join(' ');
  yield '                 PAGES        TOTAL      PERCENTAGE';
  yield row('TOTAL MEM', use.total);
  yield row('FREE', use.free, total);
  yield row('USED', used, total);
  yield row('BUFFERS', use.buffers, total);
  yield row('CACHED', use.cached, total);
  yield row('SLAB', use.slab, total);
  yield '';
  yield row('TOTAL HUGE', use.hugeTotal);
  yield row('HUGE FREE', use.hugeFree, huge);
  yield '';
  yield row('TOTAL SWAP', use.swapTotal);
  yield row('SWAP USED', swapUsed, swap);
  yield row('SWAP FREE', use.swapFree, swap);
  yield '';
  yield row('COMMIT LIMIT', use.commitLimit);
  yield row('COMMITTED', use.committed, limit);
}

/** crash cuts percentages off to whole ones. */
function share(pages: number | null, { pages: whole }: Whole): string {
  if (pages === null || whole === null) return '?';
  return `${whole === 0 ? 0 : Math.floor((pages * 100) / whole)}%`;
}

/** `218.1 MB`: as crash counts, a MB is 2^20 bytes. */
function amount(pages: number | null, pageSize: number): string {
  if (pages === null) return '?';
  const bytes = pages * pageSize;
  if (bytes === 0) return '0';
  const tenths = (value: number, unit: string): string => `${value.toFixed(1).replace(/\.0$/, '')} ${unit}`;
  if (bytes >= 2 ** 30) return tenths(bytes / 2 ** 30, 'GB');
  return bytes >= 2 ** 20 ? tenths(bytes / 2 ** 20, 'MB') : `${bytes / 1024} KB`;
}

function* meminfo({ meminfo: lines }: MemoryUseReport): Generator<string> {
  for (const { name, kilobytes } of lines) {
    if (kilobytes !== null) yield `${`${name}:`.padEnd(16)}${String(kilobytes).padStart(8)} kB`;
  }
}

function* slabTable(caches: readonly SlabCacheReport[]): Generator<string> {
  yield 'CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME';
  for (const { cache, objectSize, allocated, total, slabs, slabSize, name } of caches) {
    yield [
      digits16(cache),
      ` ${String(objectSize).padStart(7)}`,
      ` ${String(allocated ?? '?').padStart(9)}`,
      ` ${String(total ?? '?').padStart(8)}`,
      ` ${String(slabs ?? '?').padStart(5)}`,
      ` ${`${slabSize / 1024}k`.padStart(5)}`,
      ` ${printable(name)}`,
    ].join(' ');
  }
}

function* statisticsLists({ zone, node, events }: StatisticsReport): Generator<string> {
  yield '  VM_ZONE_STAT:';
  yield* counterLines(zone, 26);
  yield '';
  yield '  VM_NODE_STAT:';
  yield* counterLines(node, 26);
  yield '';
  yield '  VM_EVENT_STATES:';
  yield* counterLines(events, 29);
}

function* counterLines(counters: StatisticsReport['zone'], width: number): Generator<string> {
  for (const { name, value } of counters) yield `${name.padStart(width)}: ${value}`;
}

function* zoneLists(zones: readonly ZoneReport[]): Generator<string> {
  for (const [index, zone] of zones.entries()) {
    if (index > 0) yield '';
    yield `NODE: ${zone.node}  ZONE: ${zone.index}  ADDR: ${digits16(zone.zone)}  NAME: "${printable(zone.name)}"`;
    if (zone.spanned === 0) {
      yield '  [unpopulated]';
      continue;
    }
    const { min, low, high } = zone.watermarks;
    const present = zone.present === zone.spanned ? '' : `  PRESENT: ${zone.present}`;
    yield `  SIZE: ${zone.spanned}${present}  MANAGED: ${zone.managed}  MIN/LOW/HIGH: ${min}/${low}/${high}`;
    if (zone.freeLists === null) {
      yield '  VM_STAT:';
      yield* counterLines(zone.counters, 26);
    } else {
      yield* freeTable(zone.freeLists);
    }
  }
}

function* areaTable(areas: readonly VmallocAreaReport[]): Generator<string> {
  yield '   VMAP_AREA         VM_STRUCT                 ADDRESS RANGE                SIZE    CALLER';
  for (const { area, vm, start, end, caller } of areas) {
    const size = String(BigInt(end) - BigInt(start)).padStart(8);
    const range = `${digits16(start)} - ${digits16(end)}`;
    const of = vm === null ? ' '.repeat(16) : digits16(vm);
    yield `${digits16(area)}  ${of}  ${range} ${size}${caller === null ? '' : `  ${printable(caller)}`}`;
  }
}

function* addressLines({ address, symbol, task, stack, object, area, page }: AddressReport): Generator<string> {
  yield `${digits16(address)}`;
  if (symbol !== null) yield `  SYMBOL: ${printable(symbol)}`;
  if (task !== null)
    yield `  ${stack ? 'STACK OF' : 'TASK'}: PID ${task.pid}  "${printable(task.comm)}"  ${digits16(task.task)}`;
  if (object !== null) {
    yield `  SLAB OBJECT: ${digits16(object.start)} of ${printable(object.cache)}, ${object.size} bytes each`;
  }
  if (area !== null) yield* areaTable([area]);
  if (page !== null) {
    yield '      PAGE         PHYSICAL      MAPPING       INDEX CNT FLAGS';
    yield [
      digits16(page.page),
      page.physical.slice(2).padStart(10),
      page.mapping === '0x0' ? '0'.padStart(16) : digits16(page.mapping),
      (page.index ?? '0x?').slice(2).padStart(8),
      String(page.references).padStart(2),
      `${page.flags.slice(2)}${page.names.length === 0 ? '' : ` ${page.names.join(',')}`}`,
    ].join(' ');
  }
  const known = [symbol, task, object, area, page].some((part) => part !== null);
  if (!known) yield '  nothing of the kernel’s that is known';
}

function* freeTable(lists: NonNullable<ZoneReport['freeLists']>): Generator<string> {
  let free = 0;
  const rows = lists.map(({ order, migrationType, list, blocks }) => {
    const pages = blocks === null ? null : blocks * 2 ** order;
    free += pages ?? 0;
    return [
      String(order),
      `${4 * 2 ** order}k`,
      migrationType,
      digits16(list),
      String(blocks ?? '?'),
      String(pages ?? '?'),
    ];
  });
  const head = ['AREA', 'SIZE', 'TYPE', 'FREE_AREA_STRUCT', 'BLOCKS', 'PAGES'];
  yield* columns([head, ...rows], ['left', 'right', 'left', 'left', 'right', 'right']);
  yield `free on these lists: ${free} pages`;
}
