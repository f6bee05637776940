import { type Damage, damageOf, ExhumeError } from '../../bytes/errors.js';
import { type Fdt, fdtStrings, fdtValue, readFdt } from '../fdt/fdt.js';
import type { Handover, HandoverFile, HandoverSource, HandoverUser, MemoryArea, PreservedMap } from '../model.js';
import { HandoverReader, physical, u64Of } from '../source-reader.js';
import { node } from '../words.js';
import { bitmapSize, MAP_PART, readBitmaps, readRadixTree } from './preserved-map.js';
import { propertyText, readUser } from './users.js';

/** Names that roots of upstream handovers use, to tell them when the names themselves are cut off. */
export const UPSTREAM_NAMES = ['compatible', 'preserved-memory-map', 'preserved-data', 'blob-size', 'fdt'];
/** A description of a size that is not told. */
const UNTOLD_BLOB = 4096;
const LARGEST_BLOB = 1 << 26;

export interface UpstreamFacts {
  readonly direction: Handover['direction'];
  readonly address: number | undefined;
  readonly scratch: readonly MemoryArea[];
  /** Where the list of live update sessions begins, as the kernel that was given it keeps it. */
  readonly sessions?: bigint | undefined;
  readonly evidence: readonly string[];
}

/** Is it the root of an upstream handover? `kho-v1` alone does not tell: the series of 2023/24 used it too. */
export function isUpstream({ root }: Fdt): boolean {
  return (
    fdtValue(root, 'preserved-memory-map') !== undefined ||
    root.children.some(
      (child) => fdtValue(child, 'preserved-data') !== undefined || u64Of(fdtValue(child, 'fdt')) !== undefined,
    )
  );
}

/**
 * A handover of the upstream kernel since 6.16: `kho-v1` (bitmaps) to `kho-v4` (radix tree); later ones by their shape.
 * Parts that cannot be had are told as damage.
 */
export function readUpstream(tree: Fdt, source: HandoverSource, facts: UpstreamFacts): Handover {
  const { root } = tree;
  const damage: Damage[] = [...tree.damage];
  const evidence = [...facts.evidence];
  const [compatible = ''] = fdtStrings(fdtValue(root, 'compatible'));
  const reader = source.memory && new HandoverReader(source.memory);
  const map = u64Of(fdtValue(root, 'preserved-memory-map'));
  let preserved: PreservedMap | undefined;
  if (reader !== undefined && map !== undefined && map !== 0n) {
    try {
      preserved = readMap(
        reader,
        map,
        compatible,
        root.children.some((child) => fdtValue(child, 'fdt') !== undefined),
      );
      evidence.push(`${compatible}: ${preserved.form}`);
      if (isOverwritten(preserved, facts)) {
        preserved = { ...preserved, blocks: [], own: [], damage: [], overwritten: true };
        evidence.push(
          'its map is in use for other things: nobody preserves it, so it goes once the handover was taken',
        );
      }
      damage.push(...preserved.damage);
    } catch (error) {
      damage.push(damageOf(MAP_PART, error));
    }
  }
  const files: HandoverFile[] = [];
  const users = root.children.map((child): HandoverUser => {
    const address = u64Of(fdtValue(child, 'preserved-data') ?? fdtValue(child, 'fdt'));
    const size = u64Of(fdtValue(child, 'blob-size'));
    const own: Damage[] = [];
    let bytes = source.blobs.get(child.name);
    if (bytes === undefined && reader !== undefined && address !== undefined) {
      try {
        bytes = blobOf(reader, address, size);
      } catch (error) {
        own.push(damageOf(`handover: ${child.name}`, error));
      }
    }
    const blob =
      address === undefined
        ? undefined
        : { address: Number(address), size: Number(size ?? BigInt(bytes?.length ?? UNTOLD_BLOB)) };
    if (bytes === undefined) {
      const content = node(
        child.name,
        child.properties.map(({ name, value }) => [name, propertyText(name, value)] as const),
      );
      return { name: child.name, blob, format: 'not there', content, areas: [], damage: own };
    }
    const { files: found, ...content } = readUser(child.name, bytes, reader, facts);
    for (const file of found) files.push(file);
    damage.push(...content.damage);
    return { name: child.name, blob, bytes, ...content };
  });
  return {
    compatible,
    series: 'upstream',
    direction: facts.direction,
    address: facts.address,
    tree,
    scratch: facts.scratch,
    preserved,
    users,
    files,
    evidence,
    damage: [...damage, ...users.flatMap((user) => (user.format === 'not there' ? user.damage : []))],
  };
}

/**
 * The tree itself is always preserved, and a map that was taken was whole: one without the tree, or one that breaks off, is what
 * others wrote there since.
 */
function isOverwritten({ blocks, damage }: PreservedMap, { direction, address }: UpstreamFacts): boolean {
  if (direction !== 'incoming' || address === undefined) return false;
  if (damage.some(({ code }) => code === 'EXH_BAD_STRUCTURE')) return true;
  return !blocks.some((block) => block.address <= address && address < block.address + block.size);
}

/** Up to kho-v1 a list of bitmaps, then a radix tree; told by the nodes' own property, which changed with it. */
function readMap(reader: HandoverReader, address: bigint, compatible: string, hasFdt: boolean): PreservedMap {
  if (compatible === 'kho-v1' || hasFdt) return readBitmaps(reader, address, bitmapSize(reader, address));
  return readRadixTree(reader, address);
}

/** Of kho-v1 and kho-v2 the size is not told: these are device trees, which tell it themselves. */
function blobOf(reader: HandoverReader, address: bigint, size: bigint | undefined): Uint8Array {
  physical(address);
  if (size !== undefined && size > BigInt(LARGEST_BLOB)) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', `a description of ${size} bytes`, { address, found: size });
  }
  const first = reader.bytes(address, Number(size ?? BigInt(UNTOLD_BLOB)));
  if (size !== undefined) return first;
  try {
    const { totalSize } = readFdt(first);
    return totalSize <= first.length ? first : reader.bytes(address, Math.min(totalSize, LARGEST_BLOB));
  } catch {
    return first;
  }
}
