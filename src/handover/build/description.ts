import { type Static, type TProperties, type TSchema, Type } from 'typebox';

/**
 * What a handover is built from (`exhume kho build`), as JSON. The published schema is this; `Static` of it the type.
 * Addresses are physical. What has no address is put where there is room, in the order in which it stands here.
 */

/** Nothing but these properties: a word that is not known is a mistake. */
const only = <P extends TProperties>(properties: P, description?: string) =>
  Type.Object(properties, { additionalProperties: false, ...(description !== undefined && { description }) });
const maybe = <T extends TSchema>(schema: T) => Type.Optional(schema);

const Address = (description: string) =>
  Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: '^0x[0-9a-fA-F]{1,16}$' })], {
    description: `${description}: a number, or "0x…"`,
  });
const Size = (description: string) =>
  Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: '^(0x[0-9a-fA-F]{1,16}|[0-9]{1,16})[KMGT]?$' })], {
    description: `${description}: bytes, or with K, M, G or T`,
  });
const Word = (description: string) =>
  Type.Union([Type.Integer(), Type.String({ pattern: '^(0x[0-9a-fA-F]{1,16}|[0-9]{1,20})$' })], {
    description: `${description}: a number, or "0x…"`,
  });
const Hex = (description: string) => Type.String({ pattern: '^([0-9a-fA-F]{2}|\\s)*$', description });
const Preserve = maybe(Type.Boolean({ description: 'false: leave it out of the map, which is a fault' }));
const Count = (description: string) => Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1, description });

export const ContentSchema = Type.Union(
  [
    Type.Enum(['zeros', 'excluded', 'absent'], {
      description: 'excluded: RAM that the dump does not hold; absent: no RAM',
    }),
    only({ hex: Hex('Bytes') }),
    only({ text: Type.String() }),
    only({ pattern: Hex('Bytes, over and over') }),
    only({ random: Type.Integer({ description: 'A seed: the same bytes in every build' }) }),
    only({
      file: Type.String({ description: 'A file, from where the description stands' }),
      offset: maybe(Size('Where in it')),
      size: maybe(Size('How much of it')),
    }),
  ],
  { description: 'Bytes; zeros behind them up to the size that is needed' },
);
export type ContentDescription = Static<typeof ContentSchema>;

const AreaSchema = only({ address: Address('Where'), size: Size('How much') });

const VmallocSchema = only(
  {
    size: maybe(Size('Of the memory; what its content has when it is not given')),
    content: maybe(ContentSchema),
    order: maybe(Type.Integer({ minimum: 0, maximum: 10, description: 'Of its pages' })),
    flags: maybe(
      Type.Integer({ minimum: 0, maximum: 0xffff, description: '1: VM_ALLOC (the default), 2: VM_ALLOW_HUGE_VMAP' }),
    ),
    pages: maybe(Type.Array(Address('Of a page of that order'))),
    chunks: maybe(Type.Array(Address('Of a page that lists them'))),
    totalPages: maybe(Count('Another number than it has')),
    preserve: Preserve,
  },
  'struct kho_vmalloc: memory that lies apart and was mapped as one',
);
export type VmallocDescription = Static<typeof VmallocSchema>;

const FolioSchema = only({
  index: maybe(Count('Its page of the file; behind the one before when it is not given')),
  address: maybe(Address('Where')),
  order: maybe(Type.Integer({ minimum: 0, maximum: 18, description: 'Of its block' })),
  flags: maybe(
    Type.Integer({ minimum: 0, maximum: 0xfff, description: '1: dirty, 2: up to date; both when not given' }),
  ),
  content: maybe(ContentSchema),
  hole: maybe(Type.Boolean({ description: 'An entry without a page' })),
  preserve: Preserve,
});
export type FolioDescription = Static<typeof FolioSchema>;

const MemfdSchema = only(
  {
    address: maybe(Address('Of struct memfd_luo_ser')),
    size: maybe(Size('Of the file; what its content or its folios have when it is not given')),
    pos: maybe(Word('Where it is read and written next')),
    seals: maybe(Word('A bit for each')),
    flags: maybe(Word('Of the file')),
    content: maybe(ContentSchema),
    folios: maybe(
      Type.Array(FolioSchema, { description: 'Of pages each, one behind the other, when they are not given' }),
    ),
    order: maybe(Type.Integer({ minimum: 0, maximum: 18, description: 'Of folios that are not given' })),
    count: maybe(Word('Another number of folios than there are')),
    list: maybe(VmallocSchema),
    preserve: Preserve,
  },
  'A memfd: mm/memfd_luo.c',
);
export type MemfdDescription = Static<typeof MemfdSchema>;

const LuoFileSchema = only({
  token: maybe(Word('Its number, from userspace; as they stand when it is not given')),
  compatible: maybe(
    Type.String({ maxLength: 48, description: 'memfd-v2 when it is not given; memfd-v1 is the form of 6.19' }),
  ),
  data: maybe(Word('What the handler finds there, instead of a memfd')),
  memfd: maybe(MemfdSchema),
});
export type LuoFileDescription = Static<typeof LuoFileSchema>;

const LuoSessionSchema = only({
  name: Type.String({ maxLength: 64 }),
  files: maybe(Type.Array(LuoFileSchema)),
  address: maybe(Address('Of the first page of its list of files')),
  count: maybe(Word('Another number of files than there are')),
  preserve: Preserve,
});
export type LuoSessionDescription = Static<typeof LuoSessionSchema>;

const LuoSchema = only(
  {
    form: maybe(Type.Enum(['struct', 'fdt'], { description: 'struct: luo-v5, since 7.2; fdt: luo-v1, 6.19 to 7.1' })),
    compatible: maybe(Type.String({ maxLength: 8 })),
    updates: maybe(Word('Live updates so far')),
    sessions: maybe(Type.Array(LuoSessionSchema)),
    sessionsAddress: maybe(Address('Of the first page of the list of sessions')),
    shared: maybe(
      Type.Array(
        only({
          name: Type.String({ maxLength: 48 }),
          data: maybe(Word('A handle')),
          count: maybe(Word('Files that use it')),
        }),
        {
          description: 'File-lifecycle-bound objects (FLB)',
        },
      ),
    ),
    sharedAddress: maybe(Address('Of their page')),
  },
  'The live update orchestrator',
);
export type LuoDescription = Static<typeof LuoSchema>;

const ReserveMemSchema = only({
  name: Type.String({ minLength: 1 }),
  address: maybe(Address('Where')),
  size: Size('How much'),
  align: maybe(Size('Of an address that is not given')),
  compatible: maybe(Type.String()),
  content: maybe(ContentSchema),
  preserve: Preserve,
});
export type ReserveMemDescription = Static<typeof ReserveMemSchema>;

const MemSchema = only({
  address: maybe(Address('Where')),
  size: maybe(Size('How much; what its content has when it is not given')),
  align: maybe(Size('Of an address that is not given')),
  content: maybe(ContentSchema),
  preserve: Preserve,
});
export type MemDescription = Static<typeof MemSchema>;

export const ValueSchema = Type.Union(
  [
    Type.String({ description: 'Text, with a NUL behind' }),
    only({ strings: Type.Array(Type.String(), { description: 'Texts, each with a NUL behind' }) }),
    only({ u32: Type.Union([Word(''), Type.Array(Word(''))], { description: 'Little endian, as in handovers' }) }),
    only({ u64: Type.Union([Word(''), Type.Array(Word(''))], { description: 'Little endian' }) }),
    only({ cells: Type.Array(Word(''), { description: 'u32, big endian, as in other device trees' }) }),
    only({ hex: Hex('Bytes') }),
    only({ memory: MemSchema }, 'Memory that is put somewhere: the u64 is its address'),
    only({ vmalloc: VmallocSchema }),
    only({ mem: Type.Array(MemSchema) }, 'struct kho_mem[] of the series of 2023/24'),
  ],
  { description: 'The value of a property' },
);
export type ValueDescription = Static<typeof ValueSchema>;

const TreeSchema = Type.Record(Type.String({ pattern: '^/' }), Type.Record(Type.String(), ValueSchema), {
  description: 'Nodes by their paths from "/" on, each with its properties, in the order in which they are to stand',
});
export type TreeDescription = Static<typeof TreeSchema>;

const FtraceSchema = only(
  {
    compatible: maybe(Type.String()),
    events: maybe(Type.Array(only({ crc: Word('Fingerprint'), type: Word('Number of the kind') }))),
    arrays: Type.Array(
      only({
        name: maybe(Type.String({ description: 'global-trace, in version 2 global_trace, when it is not given' })),
        flags: maybe(Word('tr->trace_flags')),
        cpus: Type.Array(
          only({
            cpu: Type.Integer({ minimum: 0 }),
            pages: Type.Array(
              only({
                address: maybe(Address('Of the page')),
                content: maybe(ContentSchema),
                descriptor: maybe(Address('Of its struct buffer_page')),
                entries: maybe(Word('Events in it')),
                write: maybe(Word('Bytes in it')),
              }),
              { description: 'In the order of the ring, from the oldest on' },
            ),
          }),
        ),
      }),
    ),
    descriptorSize: maybe(
      Type.Integer({ minimum: 56, maximum: 4096, description: 'Of struct buffer_page: 56 to 6.7, 64 since' }),
    ),
    preserve: Preserve,
  },
  'Trace buffers, as the series of 2023/24 hands them over',
);
export type FtraceDescription = Static<typeof FtraceSchema>;

const UserSchema = only(
  {
    name: maybe(Type.String({ description: 'Of its node; that which the kernel gives it when it is not given' })),
    address: maybe(Address('Of its description')),
    size: maybe(Size('Another blob-size than it has')),
    layout: maybe(
      Type.Enum(['sequential', 'dtc', 'packed'], { description: 'Of its tree; sequential when it is not given' }),
    ),
    preserve: Preserve,
    compatible: maybe(Type.String({ description: "reserveMem: the tree's own" })),
    reserveMem: maybe(Type.Array(ReserveMemSchema)),
    kexecMetadata: maybe(
      only({
        version: maybe(Count('1 when it is not given')),
        release: Type.String({ maxLength: 64 }),
        count: maybe(Count('How many kexecs')),
      }),
    ),
    luo: maybe(LuoSchema),
    ftrace: maybe(FtraceSchema),
    tree: maybe(TreeSchema),
    bytes: maybe(ContentSchema),
  },
  'Someone who hands something over: one of reserveMem, kexecMetadata, luo, ftrace, tree, bytes',
);
export type UserDescription = Static<typeof UserSchema>;

export const VERSIONS = ['kho-v4', 'kho-v3', 'kho-v2', 'kho-v1', '2023-v3', '2023-v2'] as const;

export const KhoBuildSchema = Type.Object(
  {
    schema: maybe(Type.Literal('exhume-kho-build/1')),
    version: maybe(
      Type.Enum([...VERSIONS], { description: 'kho-v4 when it is not given; 2023-…: the series of 2023/24' }),
    ),
    bitmaps: maybe(Type.Enum([512, 4096], { description: 'kho-v1: their size; 512 up to 6.17.8' })),
    compatible: maybe(Type.String({ description: "The root's, if not that of the version" })),
    direction: maybe(Type.Enum(['outgoing', 'incoming'], { description: 'outgoing when it is not given' })),
    layout: maybe(
      Type.Enum(['packed', 'sequential', 'dtc'], { description: 'Of the tree, if not that of the version' }),
    ),
    address: maybe(Address('Of the tree')),
    preserve: Preserve,
    map: maybe(
      only({
        pages: maybe(Type.Array(Address('Of a page of the map, in the order in which a kernel makes them'))),
        root: maybe(Address('Another address than that of the map')),
      }),
    ),
    from: maybe(Address('The lowest for what has none; 0x1000000 when it is not given')),
    ram: maybe(Type.Array(AreaSchema, { description: 'Memory that the machine has besides' })),
    scratch: maybe(Type.Array(AreaSchema)),
    scratchAddress: maybe(Address('Of the array of them')),
    setupData: maybe(
      only(
        { address: maybe(Address('Of the entry')), size: maybe(Type.Enum([32, 48])) },
        'The entry of type 10 that kexec makes',
      ),
    ),
    users: maybe(Type.Array(UserSchema, { description: 'As they stand in the tree: a kernel puts new ones first' })),
    memory: maybe(
      Type.Array(
        only({
          address: maybe(Address('Where')),
          size: maybe(Size('How much; what its content has when it is not given')),
          content: maybe(ContentSchema),
          preserve: maybe(Type.Enum(['pages', 'folio', 'no'], { description: 'pages when it is not given' })),
        }),
        { description: 'Memory besides that of the users' },
      ),
    ),
    patches: maybe(
      Type.Array(only({ address: Address('Where'), hex: Hex('Bytes') }), {
        description: 'Bytes that go over all that was laid out, in the end: faults that nothing else makes',
      }),
    ),
  },
  {
    $id: 'urn:exhume:kho:build:1',
    title: 'What a kexec handover is built from (exhume kho build)',
    additionalProperties: false,
  },
);
export type KhoBuildDescription = Static<typeof KhoBuildSchema>;
