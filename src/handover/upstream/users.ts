import { type Damage, damageOf } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { plainValue } from '../fdt/dts.js';
import { type FdtNode, fdtChild, fdtStrings, fdtValue, isFdt, readFdt } from '../fdt/fdt.js';
import type { DecodedNode, Handover, HandoverFile, HandoverUser, NamedArea } from '../model.js';
import { type HandoverReader, u64Of } from '../source-reader.js';
import { areaText, hexText, node, sizeText } from '../words.js';
import { readKhoTest } from './kho-test.js';
import { type KeptByKernel, readLuoStruct, readLuoTree } from './luo.js';
import { KEXEC_METADATA, KHO_VMALLOC, LUO } from './structures.js';

/** What a user's description says. */
export interface UserContent extends Pick<HandoverUser, 'format' | 'content' | 'areas' | 'damage'> {
  readonly files: readonly HandoverFile[];
}

/** Takes a user's description apart, by what it is; what is not known is told by its size. Never throws. */
export function readUser(
  name: string,
  blob: Uint8Array,
  reader: HandoverReader | undefined,
  kept: KeptByKernel = { direction: undefined },
): UserContent {
  try {
    // A tree's header alone is longer: what begins like one here was written when this was freed.
    if (name === 'LUO' && blob.length === LUO.size) return readLuoStruct(blob, reader, kept);
    if (isFdt(blob)) return readTree(name, blob, reader, kept.direction);
    if (name === 'LUO' && blob.length >= LUO.size) {
      return readLuoStruct(blob, reader, kept);
    }
    if (name === 'kexec-metadata' && blob.length >= KEXEC_METADATA.size) return readMetadata(blob);
  } catch (error) {
    return { ...UNKNOWN, damage: [damageOf(`handover: ${name}`, error)] };
  }
  return UNKNOWN;
}

const UNKNOWN: UserContent = { format: 'not known', content: undefined, areas: [], files: [], damage: [] };

function readMetadata(blob: Uint8Array): UserContent {
  const { version, previous_release: release, kexec_count: count } = KEXEC_METADATA.read(viewOf(blob), 0, true);
  const content = node('kexec-metadata', [
    ['previous_release', release],
    ['kexec_count', count],
  ]);
  return { ...UNKNOWN, format: `struct kho_kexec_metadata ${version}`, content };
}

function readTree(
  name: string,
  blob: Uint8Array,
  reader: HandoverReader | undefined,
  direction: Handover['direction'],
): UserContent {
  const { root, damage } = readFdt(blob);
  const areas: NamedArea[] = [];
  const content = treeNode(root, name, areas);
  const [compatible = 'without compatible'] = fdtStrings(fdtValue(root, 'compatible'));
  const told: Damage[] = damage.map((one) => ({ ...one, part: `handover: ${name}` }));
  if (name === 'LUO' && fdtChild(root, 'luo-session') !== undefined) {
    const luo = readLuoTree(root, reader);
    return { ...luo, damage: [...told, ...luo.damage] };
  }
  const format = `device tree ${compatible}`;
  // The test of the next kernel gives its memory back as soon as it has found it.
  if (compatible === 'kho-test-v1' && reader !== undefined && direction !== 'incoming') {
    const test = readKhoTest(root, reader);
    return { format, content, areas: test.areas, files: [], damage: [...told, ...test.damage] };
  }
  return { format, content, areas, files: [], damage: told };
}

/** A node with its values in words: in a handover they are in the machine's own byte order. */
function treeNode(tree: FdtNode, name: string, areas: NamedArea[]): DecodedNode {
  const [compatible] = fdtStrings(fdtValue(tree, 'compatible'));
  const start = u64Of(fdtValue(tree, 'start'));
  const size = u64Of(fdtValue(tree, 'size'));
  if (compatible === 'reserve-mem-v1' && start !== undefined && size !== undefined) {
    const area = { address: Number(start), size: Number(size) };
    areas.push({ ...area, what: `reserve_mem ${name}` });
    return node(name, [
      ['compatible', compatible],
      ['memory', areaText(area), area],
    ]);
  }
  return {
    name,
    values: tree.properties.map((property) => ({
      name: property.name,
      value: propertyText(property.name, property.value),
    })),
    children: tree.children.map((child) => treeNode(child, child.name, areas)),
  };
}

/** A property that nothing is known of but its name and size. */
export function propertyText(name: string, value: Uint8Array): string {
  const number = u64Of(value);
  if (number !== undefined) return /size$/.test(name) ? sizeText(number) : hexText(number);
  if (value.length === 4) {
    const small = viewOf(value).getUint32(0, true);
    return /^nr_|count$/.test(name) ? String(small) : hexText(small);
  }
  if (name === 'folios_info' && value.length === KHO_VMALLOC.size) {
    const { first, total_pages: pages, order } = KHO_VMALLOC.read(viewOf(value), 0, true);
    return `pages of a list: ${pages}, order ${order}; they are named from ${hexText(first)} on`;
  }
  return plainValue(value);
}
