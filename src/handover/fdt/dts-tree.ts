import type { DtsSource } from './dts-source.js';

/** A label, or the path in `&{...}`. */
export interface DtsReference {
  readonly kind: 'reference' | 'path';
  readonly text: string;
  /** In the source text. */
  readonly offset: number;
}

/** How a part of a value was written. */
export interface DtsPart {
  readonly kind: 'text' | 'cells' | 'bytes' | 'path';
  /** Of each cell; 8 for what else there is. */
  readonly bits: number;
  /** Where it begins, as long as no path is put in. */
  readonly at: number;
}

/** What stands behind a property's name, with holes where references are. */
export interface DtsValue {
  readonly bytes: Uint8Array;
  readonly parts: readonly DtsPart[];
  /** `cell`: its 4 bytes are there, to be filled with a phandle; `string`: a path is to be put in at `at`. */
  readonly references: readonly { readonly as: 'cell' | 'string'; readonly at: number; readonly to: DtsReference }[];
  readonly labels: readonly string[];
}

/** What stands between a node's braces: properties before children; without a value or body it is deleted. */
export interface DtsBody {
  readonly properties: readonly {
    readonly name: string;
    readonly value: DtsValue | undefined;
    readonly labels: readonly string[];
    readonly offset: number;
  }[];
  readonly children: readonly DtsChild[];
  /** Of the node itself. */
  readonly offset: number;
}

export interface DtsChild {
  readonly name: string;
  readonly body: DtsBody | undefined;
  readonly labels: readonly string[];
  readonly omitUnused: boolean;
  readonly offset: number;
}

export interface LiveProperty {
  value: DtsValue;
  readonly labels: Set<string>;
  /** It keeps its place, should it be set again. */
  deleted: boolean;
  offset: number;
}

/** A node while its pieces are put together. What is deleted in it keeps its place. */
export class LiveNode {
  readonly properties = new Map<string, LiveProperty>();
  readonly children = new Map<string, LiveNode>();
  readonly labels = new Set<string>();
  deleted = false;
  omitUnused = false;
  referenced = false;
  /** 0: none yet. */
  phandle = 0;

  constructor(
    readonly name: string,
    readonly parent: LiveNode | undefined,
    /** In the source text. */
    readonly offset: number,
  ) {}

  get depth(): number {
    return this.parent === undefined ? 1 : this.parent.depth + 1;
  }

  /** From the root on: `/cpus/cpu@0`. */
  get path(): string {
    if (this.parent === undefined) return '/';
    return this.parent.parent === undefined ? `/${this.name}` : `${this.parent.path}/${this.name}`;
  }

  *liveProperties(): Generator<[name: string, property: LiveProperty]> {
    for (const entry of this.properties) if (!entry[1].deleted) yield entry;
  }

  *liveChildren(): Generator<LiveNode> {
    for (const child of this.children.values()) if (!child.deleted) yield child;
  }

  /** Itself and all below, each before its children. */
  *walk(): Generator<LiveNode> {
    const next: LiveNode[] = [this];
    for (let node = next.pop(); node !== undefined; node = next.pop()) {
      if (node.deleted) continue;
      yield node;
      for (const child of [...node.children.values()].reverse()) next.push(child);
    }
  }
}

/** As deep as trees are read. */
const DEEPEST = 256;
export const NO_VALUE: DtsValue = { bytes: new Uint8Array(0), parts: [], references: [], labels: [] };

/** Puts the nodes of a source text together, in its order, as dtc's livetree.c does. */
export class LiveTree {
  readonly root: LiveNode;
  private readonly labelled = new Map<string, Set<LiveNode>>();

  constructor(
    private readonly source: DtsSource,
    body: DtsBody,
  ) {
    this.root = new LiveNode('', undefined, body.offset);
    this.fill(this.root, body);
  }

  /** `/ { }` or `&label { }` once more: what has a name that is there already takes its place. */
  merge(node: LiveNode, body: DtsBody): void {
    node.deleted = false;
    for (const { name, value, labels, offset } of body.properties) {
      const before = node.properties.get(name);
      if (value === undefined) {
        if (before !== undefined) deleteProperty(before);
      } else if (before === undefined) {
        node.properties.set(name, { value, labels: new Set(labels), deleted: false, offset });
      } else {
        for (const label of labels) before.labels.add(label);
        Object.assign(before, { value, offset, deleted: false });
      }
    }
    for (const child of body.children) {
      const before = node.children.get(child.name);
      if (child.body === undefined) {
        if (before !== undefined) this.delete(before);
      } else if (before === undefined) {
        this.add(node, child, child.body);
      } else {
        for (const label of child.labels) this.label(before, label);
        this.merge(before, child.body);
      }
    }
  }

  /** With all that is in it, and their labels. */
  delete(node: LiveNode): void {
    for (const one of [...node.walk()]) {
      one.deleted = true;
      for (const property of one.properties.values()) deleteProperty(property);
      for (const label of one.labels) this.labelled.get(label)?.delete(one);
      one.labels.clear();
    }
  }

  label(node: LiveNode, label: string): void {
    node.labels.add(label);
    const nodes = this.labelled.get(label);
    if (nodes === undefined) this.labelled.set(label, new Set([node]));
    else nodes.add(node);
  }

  /** The node that a reference means, as far as the tree is put together: `label`, `/path`, `label/path`. */
  find({ kind, text, offset }: DtsReference): LiveNode | undefined {
    const slash = kind === 'reference' ? text.length : text.indexOf('/');
    if (slash === 0) return below(this.root, text);
    const label = slash < 0 ? text : text.slice(0, slash);
    const [node, another] = this.labelled.get(label) ?? [];
    if (another !== undefined) throw this.source.bad(offset, `the label ${label} belongs to several nodes`);
    return node === undefined ? undefined : below(node, text.slice(label.length));
  }

  private add(parent: LiveNode, { name, labels, omitUnused, offset }: DtsChild, body: DtsBody): void {
    const node = new LiveNode(name, parent, offset);
    if (node.depth > DEEPEST) throw this.source.bad(offset, `nodes more than ${DEEPEST} deep`);
    node.omitUnused = omitUnused;
    // Behind what was only deleted before.
    parent.children.delete(name);
    parent.children.set(name, node);
    for (const label of labels) this.label(node, label);
    this.fill(node, body);
  }

  /** A node that was not there before: in it nothing can be told twice, and nothing be deleted. */
  private fill(node: LiveNode, { properties, children }: DtsBody): void {
    for (const { name, value, labels, offset } of properties) {
      const before = node.properties.get(name);
      if (value === undefined) {
        const deleted = { value: NO_VALUE, labels: new Set<string>(), deleted: true, offset };
        if (before === undefined) node.properties.set(name, deleted);
        continue;
      }
      if (before?.deleted === false) throw this.source.bad(offset, `a second property ${name}`);
      node.properties.delete(name);
      node.properties.set(name, { value, labels: new Set(labels), deleted: false, offset });
    }
    for (const child of children) {
      const before = node.children.get(child.name);
      if (before?.deleted === false) throw this.source.bad(child.offset, `a second node ${child.name}`);
      if (child.body !== undefined) {
        this.add(node, child, child.body);
      } else if (before === undefined) {
        const deleted = new LiveNode(child.name, node, child.offset);
        deleted.deleted = true;
        node.children.set(child.name, deleted);
      }
    }
  }
}

function deleteProperty(property: LiveProperty): void {
  property.deleted = true;
  property.labels.clear();
}

function below(node: LiveNode, path: string): LiveNode | undefined {
  let at: LiveNode | undefined = node;
  for (const name of path.split('/')) {
    if (name === '') continue;
    at = at?.children.get(name);
    if (at?.deleted === true) return undefined;
  }
  return at;
}
