import { ByteWriter } from '../../bytes/byte-writer.js';
import type { NewNode } from '../fdt/fdt-write.js';
import type { MemoryArea } from '../model.js';
import { addressOf, type BuildContext, hexOf, sized, sizeOf, word32Of, wordOf } from './context.js';
import type { MemDescription, TreeDescription, ValueDescription } from './description.js';
import { type Preservation, usage } from './layout.js';
import { placeVmalloc } from './vmalloc.js';

/** The value of a property: how long it is, and its bytes once all addresses are settled. */
export interface PlannedValue {
  readonly size: number;
  readonly bytes: () => Uint8Array;
}

/** A node whose values are not all known yet. */
export interface PlannedNode {
  readonly name: string;
  readonly properties: readonly { readonly name: string; readonly value: PlannedValue }[];
  readonly children: readonly PlannedNode[];
}

/** The node as it is to be written; before all is settled with zeros for values, which have the right sizes. */
export function renderNode({ name, properties, children }: PlannedNode, settled: boolean): NewNode {
  return {
    name,
    properties: properties.map(({ name: property, value }) => ({
      name: property,
      value: settled ? value.bytes() : new Uint8Array(value.size),
    })),
    children: children.map((child) => renderNode(child, settled)),
  };
}

/** A value that is known. */
export function knownValue(bytes: Uint8Array): PlannedValue {
  return { size: bytes.length, bytes: () => bytes };
}

/** A u64, little endian, that is known once all is settled. */
export function u64Value(value: () => bigint | number): PlannedValue {
  return { size: 8, bytes: () => new ByteWriter().u64(value()).bytes };
}

export function textValue(text: string): PlannedValue {
  return knownValue(new ByteWriter().string(text).bytes);
}

/** A node of the description, with its children. */
interface OpenNode {
  readonly name: string;
  readonly properties: { readonly name: string; readonly value: PlannedValue }[];
  readonly children: OpenNode[];
}

/**
 * Plans a tree that is described node by node. Nodes whose parents are not described are made with them.
 * Throws EXH_USAGE for a path that no node can have, and as values do.
 */
export function planTree(context: BuildContext, description: TreeDescription, path: string): PlannedNode {
  const root: OpenNode = { name: '', properties: [], children: [] };
  for (const [where, properties] of Object.entries(description)) {
    const at = `${path}[${JSON.stringify(where)}]`;
    const names = where === '/' ? [] : where.slice(1).split('/');
    if (names.includes('')) throw usage(at, 'is no path of names: "/", "/name", "/name/other"');
    let node = root;
    for (const name of names) {
      let child = node.children.find((one) => one.name === name);
      if (child === undefined) {
        child = { name, properties: [], children: [] };
        node.children.push(child);
      }
      node = child;
    }
    for (const [name, value] of Object.entries(properties)) {
      node.properties.push({ name, value: planValue(context, value, `${at}.${name}`) });
    }
  }
  return root;
}

function planValue(context: BuildContext, value: ValueDescription, path: string): PlannedValue {
  if (typeof value === 'string') return textValue(value);
  if ('strings' in value) {
    const bytes = new ByteWriter();
    for (const text of value.strings) bytes.string(text);
    return knownValue(bytes.bytes);
  }
  if ('u32' in value) return words(value.u32, (bytes, word) => bytes.u32(word32Of(word, path)));
  if ('u64' in value) return words(value.u64, (bytes, word) => bytes.u64(wordOf(word, path)));
  if ('cells' in value) return words(value.cells, (bytes, word) => bytes.u32(word32Of(word, path)), false);
  if ('hex' in value) return knownValue(hexOf(value.hex, `${path}.hex`));
  if ('memory' in value) {
    const area = placeMem(context, value.memory, `${path}.memory`, path);
    return u64Value(() => area.address);
  }
  if ('vmalloc' in value) {
    const descriptor = placeVmalloc(context, value.vmalloc, `${path}.vmalloc`, path);
    return { size: 16, bytes: descriptor };
  }
  return memValue(value.mem.map((mem, index) => placeMem(context, mem, `${path}.mem[${index}]`, path, 'bytes')));
}

/** `struct kho_mem[]`: u64 address, u64 length. */
export function memValue(areas: readonly MemoryArea[]): PlannedValue {
  return {
    size: areas.length * 16,
    bytes: () => {
      const bytes = new ByteWriter();
      for (const { address, size } of areas) bytes.u64(address).u64(size);
      return bytes.bytes;
    },
  };
}

function placeMem(
  context: BuildContext,
  mem: MemDescription,
  path: string,
  what: string,
  how: Preservation = 'pages',
): MemoryArea {
  return context.layout.place({
    what,
    path,
    ...sized(context, mem, path),
    address: addressOf(mem.address, `${path}.address`),
    align: mem.align === undefined ? undefined : sizeOf(mem.align, `${path}.align`),
    preserve: (mem.preserve ?? true) ? how : 'no',
  });
}

function words(
  list: string | number | readonly (string | number)[],
  put: (bytes: ByteWriter, word: string | number) => void,
  littleEndian = true,
): PlannedValue {
  const bytes = new ByteWriter(littleEndian);
  for (const word of typeof list === 'object' ? list : [list]) put(bytes, word);
  return knownValue(bytes.bytes);
}
