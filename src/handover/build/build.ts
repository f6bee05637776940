import type { ByteSource } from '../../bytes/byte-source.js';
import { ByteWriter } from '../../bytes/byte-writer.js';
import type { WrittenNote } from '../../dump/description.js';
import { AreaSet, wholePages } from '../area-set.js';
import { type FdtLayout, type NewNode, writeFdt } from '../fdt/fdt-write.js';
import type { Handover, MemoryArea, PreservedBlock } from '../model.js';
import { PAGE } from '../source-reader.js';
import { SETUP_KHO } from '../sources/kho-data.js';
import { handoverNote } from '../sources/note.js';
import { bytesContent } from './content.js';
import { addressOf, type BuildContext, hexOf, sized, sizeOf } from './context.js';
import type { KhoBuildDescription, VERSIONS } from './description.js';
import type { Image, PlacedContent } from './image.js';
import { type BuildWarning, Layout, type Piece, usage } from './layout.js';
import { MapPages, placeBitmaps, placeRadixTree } from './preserved-map.js';
import type { Series } from './series-2023.js';
import { memValue, type PlannedNode, renderNode, textValue, u64Value } from './tree.js';
import { type PlannedUser, placeUser, planUserNode } from './users.js';

type Version = (typeof VERSIONS)[number];

/** The lowest address for what has none: above all that is special in a PC. */
const FROM = 0x1000000;
/** What kexec loads begins at a multiple of this. */
const SEGMENT_ALIGN = 1 << 16;
const SETUP_HEADER = 16;

/** A handover, laid out. */
export interface BuiltHandover {
  readonly compatible: string;
  readonly direction: NonNullable<Handover['direction']>;
  /** Where the tree lies. */
  readonly address: number;
  readonly tree: Uint8Array;
  readonly scratch: readonly MemoryArea[];
  /** Of the map, in the order in which they were preserved; of the series of 2023/24 what its `mem` properties name. */
  readonly blocks: readonly PreservedBlock[];
  /** What users describe themselves with, by their names: where it lies. Of the series of 2023/24: none. */
  readonly blobs: readonly (MemoryArea & { readonly name: string })[];
  readonly image: Image;
  /** For whoever opens the image: where the handover is, since no kernel is in it. */
  readonly note: WrittenNote;
  /** What is possible, and wrong. */
  readonly warnings: readonly BuildWarning[];
}

/**
 * Lays out a handover as its description says.
 * Throws EXH_USAGE, which names the place in the description, for what cannot be; EXH_IO as files do.
 * @param open opens what a content names as its file
 */
export function buildHandover(description: KhoBuildDescription, open: (name: string) => ByteSource): BuiltHandover {
  const scratch = areasOf(description.scratch, 'scratch');
  const layout = new Layout(addressOf(description.from ?? FROM, 'from'), scratch);
  const context: BuildContext = { layout, open };
  const { version = 'kho-v4' } = description;
  const parts =
    version === '2023-v2' || version === '2023-v3'
      ? place2023(context, description, version)
      : placeUpstream(context, description, version);
  const patches = (description.patches ?? []).map(({ address, hex }, index): PlacedContent => {
    const bytes = hexOf(hex, `patches[${index}].hex`);
    const at = addressOf(address, `patches[${index}].address`);
    return { address: at, size: bytes.length, content: bytesContent(bytes) };
  });
  const image = layout.image(areasOf(description.ram, 'ram'), patches);
  const direction = description.direction ?? 'outgoing';
  const { tree, blobs, scratchList, cache } = parts;
  const fact = { direction, tree: { address: tree.address, size: parts.treeRoom }, scratch: scratchList, cache };
  return {
    compatible: parts.compatible,
    direction,
    address: tree.address,
    tree: image.bytes(tree.address, parts.treeSize),
    scratch,
    blocks: parts.blocks,
    blobs: blobs.map(({ name, blob, size }) => ({ name, address: blob.address, size })),
    image,
    note: handoverNote(fact),
    warnings: layout.warnings,
  };
}

/** What both series have. */
interface Parts {
  readonly compatible: string;
  readonly tree: Piece;
  /** Bytes of the tree, and those that the next kernel is told. */
  readonly treeSize: number;
  readonly treeRoom: number;
  readonly blobs: readonly PlannedUser[];
  readonly blocks: readonly PreservedBlock[];
  /** Of upstream: the array of scratch areas; of 2023/24 the one area itself. */
  readonly scratchList: MemoryArea;
  /** Of 2023/24: the array of all that is preserved. */
  readonly cache: MemoryArea | undefined;
}

const NOWHERE: MemoryArea = { address: 0, size: 0 };

function placeUpstream(
  context: BuildContext,
  description: KhoBuildDescription,
  version: Exclude<Version, Series>,
): Parts {
  const { layout } = context;
  const { bitmaps = 4096, compatible = version } = description;
  if (description.bitmaps !== undefined && version !== 'kho-v1') throw usage('bitmaps', `${version} has a radix tree`);
  const pages = new MapPages(
    layout,
    (description.map?.pages ?? []).map((address, index) => addressOf(address, `map.pages[${index}]`)),
    'map',
  );
  const users = (description.users ?? []).map((user, index) => placeUser(context, user, `users[${index}]`));
  const given = addressOf(description.map?.root, 'map.root');
  const map: { piece?: Piece | undefined } = {};
  const root: PlannedNode = {
    name: '',
    properties: [
      { name: 'compatible', value: textValue(compatible) },
      { name: 'preserved-memory-map', value: u64Value(() => given ?? map.piece?.address ?? 0) },
    ],
    children: users.map((user) => userNode(user, version)),
  };
  const form = description.layout ?? (version === 'kho-v1' ? 'sequential' : 'packed');
  const tree = placeTree(context, description, root, form, undefined);
  const scratchList = placeScratchList(layout, description);
  const setup = placeSetupData(layout, description, 32, () => [
    [tree.piece, tree.room],
    [scratchList, scratchList.size],
  ]);
  placeMemory(context, description);
  layout.settle();
  const blocks = layout.blocks();
  map.piece = version === 'kho-v1' ? placeBitmaps(pages, blocks, bitmaps) : placeRadixTree(pages, blocks);
  layout.settle();
  setup();
  return {
    compatible,
    tree: tree.piece,
    treeSize: tree.size,
    treeRoom: tree.room,
    blobs: users,
    blocks,
    scratchList,
    cache: undefined,
  };
}

/** As kho_add_subtree writes it: the property that was set last stands first. */
function userNode({ name, blob, size }: PlannedUser, version: Version): PlannedNode {
  const at = u64Value(() => blob.address);
  const properties =
    version === 'kho-v1'
      ? [{ name: 'fdt', value: at }]
      : version === 'kho-v2'
        ? [{ name: 'preserved-data', value: at }]
        : [
            { name: 'blob-size', value: u64Value(() => size) },
            { name: 'preserved-data', value: at },
          ];
  return { name, properties, children: [] };
}

function place2023(context: BuildContext, description: KhoBuildDescription, version: Series): Parts {
  const { layout } = context;
  const { compatible = 'kho-v1' } = description;
  for (const word of ['bitmaps', 'map', 'scratchAddress'] as const) {
    if (description[word] !== undefined) throw usage(word, 'the series of 2023/24 has none');
  }
  if (layout.scratch.length > 1) throw usage('scratch', 'the series of 2023/24 has one area');
  const children = (description.users ?? []).map((user, index) =>
    planUserNode(context, user, `users[${index}]`, version),
  );
  const root = { name: '', properties: [{ name: 'compatible', value: textValue(compatible) }], children };
  const [scratch = NOWHERE] = layout.scratch;
  const within = scratch.size === 0 ? undefined : scratch;
  const tree = placeTree(context, description, root, description.layout ?? 'sequential', within);
  const cache: { piece?: Piece } = {};
  const setup = placeSetupData(layout, description, 48, () => [
    [tree.piece, tree.size],
    [scratch, scratch.size],
    [cache.piece ?? NOWHERE, cache.piece?.size ?? 0],
  ]);
  placeMemory(context, description);
  layout.settle();
  // The cache has what the tree names; blocks are told, and are no part of this form.
  const blocks = layout.blocks();
  const bytes = memValue([...new AreaSet(blocks).areas()]).bytes();
  cache.piece = layout.place({
    what: 'the cache of mem properties',
    path: 'users',
    size: bytes.length,
    align: SEGMENT_ALIGN,
    within,
    preserve: 'no',
    content: () => bytes,
  });
  layout.settle();
  setup();
  return {
    compatible,
    tree: tree.piece,
    treeSize: tree.size,
    treeRoom: tree.size,
    blobs: [],
    blocks,
    scratchList: scratch,
    cache: cache.piece,
  };
}

interface PlacedTree {
  readonly piece: Piece;
  /** Of the tree, in bytes. */
  readonly size: number;
  /** What kexec tells the next kernel. */
  readonly room: number;
}

function placeTree(
  { layout }: BuildContext,
  description: KhoBuildDescription,
  root: PlannedNode,
  form: FdtLayout,
  within: MemoryArea | undefined,
): PlacedTree {
  const write = (settled: boolean): Uint8Array => {
    const node: NewNode = renderNode(root, settled);
    return writeFdt({ root: node }, form);
  };
  const size = write(false).length;
  const upstream = within === undefined;
  if (upstream && size > PAGE) layout.warn('users', `the tree has ${size} bytes: a kernel's has one page`);
  const piece = layout.place({
    what: 'the tree',
    path: 'address',
    size,
    align: upstream ? undefined : SEGMENT_ALIGN,
    within,
    address: addressOf(description.address, 'address'),
    preserve: isUpstream(description) && (description.preserve ?? true) ? 'folio' : 'no',
    content: () => write(true),
  });
  return { piece, size, room: wholePages({ address: 0, size }).size };
}

function isUpstream({ version = 'kho-v4' }: KhoBuildDescription): boolean {
  return !version.startsWith('2023');
}

/** The array of scratch areas, as kexec loads it: high in the first of them. */
function placeScratchList(layout: Layout, description: KhoBuildDescription): MemoryArea {
  const { scratch } = layout;
  if (scratch.length === 0) return NOWHERE;
  return layout.place({
    what: 'the array of scratch areas',
    path: 'scratch',
    size: scratch.length * 16,
    align: SEGMENT_ALIGN,
    within: scratch.find(({ size }) => size >= SEGMENT_ALIGN * 2),
    address: addressOf(description.scratchAddress, 'scratchAddress'),
    preserve: 'no',
    content: () => {
      const bytes = new ByteWriter();
      for (const { address, size } of scratch) bytes.u64(address).u64(size);
      return bytes.bytes;
    },
  });
}

/** `struct setup_data` and `struct kho_data`. Gives what is to be called when all is settled. */
function placeSetupData(
  layout: Layout,
  { setupData }: KhoBuildDescription,
  usual: number,
  areas: () => readonly (readonly [at: MemoryArea, size: number])[],
): () => void {
  if (setupData === undefined) return () => {};
  const length = setupData.size ?? usual;
  const bytes = new Uint8Array(SETUP_HEADER + length);
  layout.place({
    what: 'struct setup_data',
    path: 'setupData',
    size: bytes.length,
    within: layout.scratch.find(({ size }) => size >= SEGMENT_ALIGN * 2),
    address: addressOf(setupData.address, 'setupData.address'),
    preserve: 'no',
    content: () => bytes,
  });
  return () => {
    const data = new ByteWriter().u64(0).u32(SETUP_KHO).u32(length);
    for (const [at, size] of areas()) data.u64(at.address).u64(size);
    bytes.set(data.bytes.subarray(0, bytes.length));
  };
}

function placeMemory(context: BuildContext, { memory = [] }: KhoBuildDescription): void {
  for (const [index, one] of memory.entries()) {
    const path = `memory[${index}]`;
    context.layout.place({
      what: path,
      path,
      ...sized(context, one, path),
      address: addressOf(one.address, `${path}.address`),
      preserve: one.preserve ?? 'pages',
    });
  }
}

function areasOf(
  areas: readonly { readonly address: string | number; readonly size: string | number }[] = [],
  path: string,
): MemoryArea[] {
  return areas.map(({ address, size }, index) => {
    const area = {
      address: addressOf(address, `${path}[${index}].address`),
      size: sizeOf(size, `${path}[${index}].size`),
    };
    if (area.address + area.size <= 2 ** 52) return area;
    throw usage(`${path}[${index}]`, 'leads out of physical memory');
  });
}
