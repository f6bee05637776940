import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';
import { TaskNameSchema } from './ps.js';

const Pages = (description: string) => nullable(Count('Pages'), description);

export const MemoryUseSchema = Type.Object(
  {
    pageSize: Count('In bytes'),
    total: Pages('All that the kernel could give out'),
    free: Pages('NR_FREE_PAGES'),
    available: Pages('What could have been had without swapping: MemAvailable'),
    buffers: Pages("In block devices' caches"),
    cached: Pages("In files' caches"),
    swapCached: Pages('In memory and in swap, too'),
    shared: Pages('Of tmpfs and shared memory: Shmem'),
    slab: Pages('Of the slab allocator'),
    slabReclaimable: Pages('Of those, what can be given back'),
    hugeTotal: Pages('In pools of huge pages'),
    hugeFree: Pages('Of those, free'),
    swapTotal: Pages('Of all swap areas'),
    swapFree: Pages('Of those, free'),
    commitLimit: Pages('What may be promised to processes: CommitLimit'),
    committed: Pages('What was promised: Committed_AS'),
    meminfo: Type.Array(
      Type.Object({ name: Text('As in /proc/meminfo'), kilobytes: nullable(Type.Number(), 'In KiB') }),
      { description: "The dead kernel's /proc/meminfo, as far as it is made of counters" },
    ),
  },
  { description: 'Where memory went; in pages' },
);
export type MemoryUseReport = Static<typeof MemoryUseSchema>;

export const SlabCacheSchema = Type.Object(
  {
    cache: Hex('Address of its struct kmem_cache'),
    name: Text('Its name'),
    objectSize: Count('What a user of it gets, in bytes'),
    size: Count('What an object takes, in bytes'),
    objectsPerSlab: Count('Objects'),
    slabSize: Count('In bytes'),
    slabs: nullable(Type.Integer(), 'How many slabs it has'),
    total: nullable(Type.Integer(), 'Objects in them'),
    allocated: nullable(Type.Integer(), 'Objects that are not free'),
  },
  { description: 'A cache of the slab allocator' },
);
export type SlabCacheReport = Static<typeof SlabCacheSchema>;

export const CounterSchema = Type.Object({ name: Text('The enumerator'), value: Type.Integer() });

export const ZoneSchema = Type.Object(
  {
    node: Count('The NUMA node'),
    index: Count('Its place in the node'),
    zone: Hex('Address of its struct zone'),
    name: Text('DMA, DMA32, Normal, Movable, Device'),
    spanned: Count('Pages, holes counted'),
    present: Count('Pages'),
    managed: Count('Pages of the page allocator'),
    startPfn: Count('Its first page frame number'),
    watermarks: Type.Object({ min: Count('Pages'), low: Count('Pages'), high: Count('Pages') }),
    counters: Type.Array(CounterSchema, { description: 'zone.vm_stat' }),
    freeLists: nullable(
      Type.Array(
        Type.Object({
          order: Count('Blocks are of 2^order pages'),
          migrationType: Text('Unmovable, Movable, …'),
          list: Hex('Address of the head of the list'),
          blocks: nullable(Count('Blocks'), 'How many there are'),
        }),
      ),
      'The free blocks; with -f',
    ),
  },
  { description: 'A zone of memory' },
);
export type ZoneReport = Static<typeof ZoneSchema>;

export const StatisticsSchema = Type.Object({
  zone: Type.Array(CounterSchema, { description: 'vm_zone_stat' }),
  node: Type.Array(CounterSchema, { description: 'vm_node_stat' }),
  events: Type.Array(CounterSchema, { description: 'vm_event_states, all CPUs together' }),
});
export type StatisticsReport = Static<typeof StatisticsSchema>;

export const VmallocAreaSchema = Type.Object(
  {
    area: Hex('Address of its struct vmap_area'),
    vm: nullable(Hex('Address'), 'Of its struct vm_struct'),
    start: Hex('Its first address'),
    end: Hex('The first address after it'),
    caller: nullable(Type.String(), 'Who asked for it'),
  },
  { description: 'An area of vmalloc' },
);
export type VmallocAreaReport = Static<typeof VmallocAreaSchema>;

export const AddressSchema = Type.Object(
  {
    address: Hex('What was asked for'),
    symbol: nullable(Type.String(), 'The symbol that it lies in'),
    task: nullable(TaskNameSchema, 'The task whose task_struct or kernel stack it lies in'),
    stack: Type.Boolean({ description: "It lies on that task's stack" }),
    object: nullable(
      Type.Object({
        cache: Text('Name of the slab cache'),
        start: Hex('Where the object begins'),
        size: Count('Bytes that it takes'),
      }),
      'The object of the slab allocator that it lies in, used or free',
    ),
    area: nullable(VmallocAreaSchema, 'The area of vmalloc that it lies in'),
    page: nullable(
      Type.Object({
        page: Hex('Address of its struct page'),
        physical: Hex('Its physical address'),
        mapping: Hex('Of a file or of anonymous memory; other things for pages of other kinds'),
        index: nullable(Hex('Index'), 'Where in that, in pages'),
        references: Type.Integer({ description: 'How many hold it; 0: it is free' }),
        flags: Hex('With node and zone in the upper bits'),
        names: Type.Array(Type.String(), { description: 'Of the flags that are set' }),
      }),
      'The page of memory that it lies in, or whose struct page it is',
    ),
  },
  { description: 'What an address is' },
);
export type AddressReport = Static<typeof AddressSchema>;

export const KmemSchema = document('exhume-kmem/1', 'Kernel memory (exhume kmem --json)', {
  memory: Type.Union([MemoryUseSchema, Type.Null()], { description: 'With -i, or without any option' }),
  slabs: Type.Union([Type.Array(SlabCacheSchema), Type.Null()], { description: 'With -s: the newest first' }),
  zones: Type.Union([Type.Array(ZoneSchema), Type.Null()], { description: 'With -z and -f' }),
  statistics: Type.Union([StatisticsSchema, Type.Null()], { description: 'With -V' }),
  areas: Type.Union([Type.Array(VmallocAreaSchema), Type.Null()], { description: 'With -v' }),
  addresses: Type.Array(AddressSchema, { description: 'What each address is that was asked for' }),
  unmatched: Type.Array(Type.String(), { description: 'Names that no slab cache has' }),
});
export type KmemReport = Static<typeof KmemSchema>;
