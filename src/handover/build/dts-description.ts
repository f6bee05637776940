import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { parseDtsNodes } from '../fdt/dts-parse.js';
import type { DtsValue, LiveNode } from '../fdt/dts-tree.js';
import { type KhoBuildDescription, KhoBuildSchema, ValueSchema } from './description.js';
import { checkDescription } from './parse.js';

/** As much of a JSON Schema as tells what a node or property is to be. */
interface Shape {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly patternProperties?: object;
  readonly items?: Shape;
  readonly anyOf?: readonly Shape[];
}

type Json = boolean | number | string | Json[] | { [name: string]: Json };

/** Of the root: values that a tree of a user refers to. */
const PLACED = 'placed';

/**
 * Reads a description of a handover that is written as a device tree's source: the same words as in JSON, where nodes are
 * objects, and the nodes in one are a list's items. Numbers are little endian, as in handovers. Throws EXH_USAGE.
 * @param name of the file, for messages
 */
export function parseDtsDescription(text: string, name: string): KhoBuildDescription {
  const root = parseDtsNodes(text, name);
  return checkDescription(new DescriptionReader(root, name).read(), name);
}

class DescriptionReader {
  private readonly placed: LiveNode | undefined;

  constructor(
    private readonly root: LiveNode,
    private readonly file: string,
  ) {
    const placed = root.children.get(PLACED);
    this.placed = placed?.deleted === true ? undefined : placed;
  }

  read(): Json {
    return this.object(this.root, KhoBuildSchema as Shape);
  }

  private object(node: LiveNode, shape: Shape): { [name: string]: Json } {
    const members = new Map<string, Json>();
    for (const [name, { value }] of node.liveProperties()) {
      members.set(name, this.value(value, memberOf(shape, name), `${node.path} ${name}`));
    }
    for (const child of node.liveChildren()) {
      if (child === this.placed) continue;
      if (members.has(child.name)) throw this.bad(`${child.path} is a property too`);
      members.set(child.name, this.node(child, memberOf(shape, child.name)));
    }
    return Object.fromEntries(members);
  }

  private node(node: LiveNode, shape: Shape | undefined): Json {
    if (shape?.patternProperties !== undefined) return this.tree(node);
    const items = variants(shape).find(({ type }) => type === 'array')?.items;
    if (items === undefined) return this.object(node, shape ?? {});
    for (const [name] of node.liveProperties()) throw this.bad(`${node.path}: a list has nodes, and not ${name}`);
    return Array.from(node.liveChildren(), (child) => this.item(child, items));
  }

  /** An item's node has its name and address, where it has such and does not say others. */
  private item(node: LiveNode, shape: Shape): Json {
    const [, name = '', unit] = /^([^@]*)(?:@([0-9a-fA-F]+))?$/.exec(node.name) ?? [];
    const told: { [name: string]: Json } = {};
    if (memberOf(shape, 'name') !== undefined) told['name'] = name;
    if (unit !== undefined && memberOf(shape, 'address') !== undefined) told['address'] = `0x${unit}`;
    return { ...told, ...this.object(node, shape) };
  }

  /** A user's own tree: nodes by their paths, values as bytes. */
  private tree(node: LiveNode): Json {
    const nodes = Array.from(node.walk(), (one) => {
      const properties = Array.from(one.liveProperties(), ([name, { value }]): [string, Json] => [
        name,
        value.parts.some(({ kind }) => kind === 'path')
          ? this.placedValue(value, `${one.path} ${name}`)
          : { hex: hexOf(value.bytes) },
      ]);
      return [one.path.slice(node.path.length) || '/', Object.fromEntries(properties)] as const;
    });
    return Object.fromEntries(nodes);
  }

  private placedValue({ bytes, parts }: DtsValue, where: string): Json {
    const path = new TextDecoder().decode(bytes).replace(/\0$/, '');
    for (const node of this.placed?.liveChildren() ?? []) {
      if (parts.length === 1 && node.path === path) return this.object(node, ValueSchema as Shape);
    }
    throw this.bad(`${where}: a reference is to a node of /${PLACED}, and alone`);
  }

  private value(value: DtsValue, shape: Shape | undefined, where: string): Json {
    const found = this.plain(value, where);
    const wanted = variants(shape);
    const takes = (type: string): boolean => wanted.some((one) => one.type === type);
    if (takes('boolean') && (found === 0 || found === 1)) return found === 1;
    return takes('array') && !Array.isArray(found) && !takes(typeof found === 'number' ? 'integer' : 'string')
      ? [found]
      : found;
  }

  private plain({ bytes, parts }: DtsValue, where: string): Json {
    const [first] = parts;
    if (first === undefined) return true;
    if (parts.some(({ kind, bits }) => kind !== first.kind || bits !== first.bits) || first.kind === 'path') {
      throw this.bad(`${where}: texts, numbers of one size, or bytes`);
    }
    if (first.kind === 'bytes') return hexOf(bytes);
    const values =
      first.kind === 'text'
        ? new TextDecoder().decode(bytes.subarray(0, -1)).split('\0')
        : numbersOf(bytes, first.bits / 8);
    const [only, another] = values;
    return only === undefined || another !== undefined ? values : only;
  }

  private bad(what: string): ExhumeError {
    return new ExhumeError('EXH_USAGE', `${this.file}: ${what}`, {
      file: this.file,
      hint: 'docs/commands/kho.md explains the form',
    });
  }
}

function variants(shape: Shape | undefined): readonly Shape[] {
  return shape === undefined ? [] : (shape.anyOf?.flatMap(variants) ?? [shape]);
}

/** In the first of its forms that has it. */
function memberOf(shape: Shape, name: string): Shape | undefined {
  for (const { properties } of variants(shape)) {
    if (properties !== undefined && Object.hasOwn(properties, name)) return properties[name];
  }
  return undefined;
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Those that JSON cannot have exactly as text. */
function numbersOf(bytes: Uint8Array, size: number): (number | string)[] {
  const view = viewOf(bytes);
  const numbers: (number | string)[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    if (size === 8) {
      const value = view.getBigUint64(at, true);
      numbers.push(value > Number.MAX_SAFE_INTEGER ? `0x${value.toString(16)}` : Number(value));
    } else if (size === 4) numbers.push(view.getUint32(at, true));
    else numbers.push(size === 2 ? view.getUint16(at, true) : view.getUint8(at));
  }
  return numbers;
}
