import { concat } from '../../bytes/concat.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { DtsSource } from './dts-source.js';
import { type DtsValue, type LiveNode, type LiveProperty, type LiveTree, NO_VALUE } from './dts-tree.js';
import type { NewNode } from './fdt-write.js';

const NODE_NAME = /^(?:[a-zA-Z0-9,._+-]+(?:@[a-zA-Z0-9,._+-]*)?)?$/;
const PROPERTY_NAME = /^[a-zA-Z0-9,._+*#?-]+$/;
/** Paths of references may be much longer than the source text; a header has 32 bits for all of it. */
const MOST_PATHS = 1 << 26;

/** The tree as dtc writes it. Throws as `settleDts`. */
export function resolveDts(tree: LiveTree, source: DtsSource): { root: NewNode; bootCpu: number } {
  const bootCpu = guessBootCpu(tree);
  settleDts(tree, source, true);
  return { root: written(tree.root), bootCpu };
}

/**
 * The last steps of dtc's: what is wrong in the whole tree is refused (those of its checks.c that are errors), phandles are
 * numbered, references filled in, nodes that nothing refers to omitted. Throws EXH_USAGE.
 * @param names whether a property `name` has to say the node's
 */
export function settleDts(tree: LiveTree, source: DtsSource, names: boolean): void {
  const resolver = new Resolver(tree, source);
  resolver.check(names);
  resolver.fill();
  for (const node of tree.root.walk()) {
    if (node.omitUnused && !node.referenced) tree.delete(node);
  }
}

class Resolver {
  private readonly phandles = new Set<number>();
  private nextPhandle = 1;
  private pathBytes = 0;

  constructor(
    private readonly tree: LiveTree,
    private readonly source: DtsSource,
  ) {}

  check(names: boolean): void {
    const labels = new Set<string>();
    for (const node of this.tree.root.walk()) {
      if (!NODE_NAME.test(node.name)) throw this.source.bad(node.offset, `${node.name} is no name for a node`);
      this.checkLabels(labels, node.labels, node.offset);
      for (const [name, property] of node.liveProperties()) {
        if (!PROPERTY_NAME.test(name)) throw this.source.bad(property.offset, `${name} is no name for a property`);
        this.checkLabels(labels, property.labels, property.offset);
        this.checkLabels(labels, property.value.labels, property.offset);
      }
      if (names) this.checkName(node);
      this.checkPhandle(node);
    }
  }

  /** Fills references in; nodes that cells refer to get phandles, in the order of the references. */
  fill(): void {
    for (const node of this.tree.root.walk()) {
      for (const [, property] of node.liveProperties()) {
        const { references } = property.value;
        if (references.length > 0) property.value = { ...property.value, ...this.filled(property.value) };
      }
    }
  }

  private filled({ bytes, references }: DtsValue): Pick<DtsValue, 'bytes' | 'references'> {
    const parts: Uint8Array[] = [];
    let done = 0;
    for (const { as, at, to } of references) {
      const target = this.tree.find(to);
      if (target === undefined) throw this.source.bad(to.offset, `no node ${to.text}`);
      target.referenced = true;
      if (as === 'cell') {
        viewOf(bytes).setUint32(at, this.phandle(target));
        continue;
      }
      const path = encoder.encode(`${target.path}\0`);
      this.pathBytes += path.length;
      if (this.pathBytes > MOST_PATHS) throw this.source.bad(to.offset, `more than ${MOST_PATHS} bytes of paths`);
      parts.push(bytes.subarray(done, at), path);
      done = at;
    }
    return { bytes: concat([...parts, bytes.subarray(done)]), references: [] };
  }

  private phandle(node: LiveNode): number {
    if (node.phandle !== 0) return node.phandle;
    while (this.phandles.has(this.nextPhandle)) this.nextPhandle++;
    this.phandles.add(this.nextPhandle);
    node.phandle = this.nextPhandle;
    // Its own may refer to itself.
    if (liveProperty(node, 'phandle') === undefined) addPhandle(node);
    return node.phandle;
  }

  private checkLabels(seen: Set<string>, labels: Iterable<string>, offset: number): void {
    for (const label of labels) {
      if (seen.has(label)) throw this.source.bad(offset, `a second label ${label}`);
      seen.add(label);
    }
  }

  /** Trees before version 16 had the name as a property; it goes where it says the same, which is the only thing it may. */
  private checkName(node: LiveNode): void {
    const property = liveProperty(node, 'name');
    if (property === undefined) return;
    const name = node.name.replace(/@.*/, '');
    if (new TextDecoder().decode(property.value.bytes) !== `${name}\0`) {
      throw this.source.bad(property.offset, `the property name of ${node.path} is not its name`);
    }
    property.deleted = true;
  }

  /** What the text says itself. A node that refers to itself asks for any. */
  private checkPhandle(node: LiveNode): void {
    for (const name of ['phandle', 'linux,phandle']) {
      const property = liveProperty(node, name);
      if (property === undefined) continue;
      const { bytes, references } = property.value;
      const [reference] = references;
      if (reference !== undefined && this.tree.find(reference.to) === node && bytes.length === 4) continue;
      const phandle = bytes.length === 4 ? viewOf(bytes).getUint32(0) : 0;
      if (phandle === 0 || phandle === 0xffffffff) {
        throw this.source.bad(property.offset, `${name} of ${node.path} is no phandle`);
      }
      if (node.phandle === phandle) continue;
      if (node.phandle !== 0 || this.phandles.has(phandle)) {
        throw this.source.bad(
          property.offset,
          `${name} of ${node.path} is 0x${phandle.toString(16)}, which is another's`,
        );
      }
      this.phandles.add(phandle);
      node.phandle = phandle;
    }
  }
}

const encoder = new TextEncoder();

function written(node: LiveNode): NewNode {
  return {
    name: node.name,
    properties: Array.from(node.liveProperties(), ([name, { value }]) => ({ name, value: value.bytes })),
    children: Array.from(node.liveChildren(), written),
  };
}

function liveProperty(node: LiveNode | undefined, name: string): LiveProperty | undefined {
  const property = node?.properties.get(name);
  return property?.deleted === true ? undefined : property;
}

/** As the last property. */
function addPhandle({ properties, phandle, offset }: LiveNode): void {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, phandle);
  properties.delete('phandle');
  const value = { ...NO_VALUE, bytes };
  properties.set('phandle', { value, labels: new Set(), deleted: false, offset });
}

/** `reg` of the first node in `/cpus` (guess_boot_cpuid() of dtc's livetree.c), whose references are not filled in yet. */
function guessBootCpu({ root }: LiveTree): number {
  const cpus = root.children.get('cpus');
  const [first] = cpus === undefined || cpus.deleted ? [] : cpus.children.values();
  const reg = liveProperty(first, 'reg')?.value.bytes;
  return reg?.length === 4 ? viewOf(reg).getUint32(0) : 0;
}
