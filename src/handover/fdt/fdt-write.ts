import { ByteWriter } from '../../bytes/byte-writer.js';
import { FDT_HEADER, FDT_MAGIC, type FdtReservation, FdtToken } from './fdt.js';

/** A property as it is to be written. */
export interface NewProperty {
  readonly name: string;
  readonly value: Uint8Array;
}

/** A node as it is to be written; `Fdt.root` is one. */
export interface NewNode {
  readonly name: string;
  readonly properties: readonly NewProperty[];
  readonly children: readonly NewNode[];
}

/** A tree as it is to be written; `Fdt` is one. */
export interface NewFdt {
  readonly root: NewNode;
  readonly reservations?: readonly FdtReservation[] | undefined;
  readonly bootCpu?: number | undefined;
}

/**
 * How the parts lie, by who wrote the tree:
 * `dtc`: as dtc does; the names of properties in the order of their first use.
 * `sequential`: one piece after the other (libfdt's fdt_sw.c: what the kernel's users hand over); names grow downwards, and
 * what is reserved begins at a multiple of 16.
 * `packed`: a sequential root into which nodes were put one by one, each before those there, and each property likewise
 * (fdt_rw.c and fdt_pack: the kernel's own root since 6.19).
 */
export type FdtLayout = 'dtc' | 'sequential' | 'packed';

/**
 * Writes a flattened device tree of version 17: header, reserved memory, nodes (properties before children), names, each of
 * which stands there once, if not within a longer one.
 */
export function writeFdt({ root, reservations = [], bootCpu = 0 }: NewFdt, layout: FdtLayout = 'dtc'): Uint8Array {
  const names = new Names(root, layout);
  const structure = new ByteWriter(false);
  putNode(structure, names, root);
  structure.u32(FdtToken.end);
  const reserved = layout === 'sequential' ? Math.ceil(FDT_HEADER.size / 16) * 16 : FDT_HEADER.size;
  const nodes = reserved + (reservations.length + 1) * 16;
  const strings = nodes + structure.length;
  const bytes = new Uint8Array(strings + names.bytes.length);
  const view = new DataView(bytes.buffer);
  FDT_HEADER.write(
    view,
    0,
    {
      magic: FDT_MAGIC,
      totalsize: bytes.length,
      off_dt_struct: nodes,
      off_dt_strings: strings,
      off_mem_rsvmap: reserved,
      version: 17,
      last_comp_version: 16,
      boot_cpuid_phys: bootCpu,
      size_dt_strings: names.bytes.length,
      size_dt_struct: structure.length,
    },
    false,
  );
  for (const [index, { address, size }] of reservations.entries()) {
    view.setBigUint64(reserved + index * 16, address);
    view.setBigUint64(reserved + index * 16 + 8, size);
  }
  bytes.set(structure.bytes, nodes);
  bytes.set(names.bytes, strings);
  return bytes;
}

/** Every token begins at a multiple of 4 bytes. */
function putNode(out: ByteWriter, names: Names, { name, properties, children }: NewNode): void {
  out.u32(FdtToken.beginNode).string(name).align(4);
  for (const property of properties) {
    out.u32(FdtToken.property).u32(property.value.length).u32(names.offset(property.name));
    out.put(property.value).align(4);
  }
  for (const child of children) putNode(out, names, child);
  out.u32(FdtToken.endNode);
}

/** Names of properties, behind each other; each stands there once. */
class Names {
  readonly bytes: Uint8Array;
  private readonly offsets = new Map<string, number>();

  constructor(root: NewNode, layout: FdtLayout) {
    const text = new ByteWriter();
    for (const name of inOrder(root, layout)) {
      this.offsets.set(name, text.length);
      text.string(name);
    }
    this.bytes = text.bytes;
  }

  offset(name: string): number {
    let offset = this.offsets.get(name);
    if (offset === undefined) {
      // It is the end of a longer one, of the first of them.
      const longer = [...this.offsets].find(([other]) => other.endsWith(name));
      if (longer === undefined) throw new Error(`the property ${name} was not counted`);
      offset = longer[1] + encoder.encode(longer[0]).length - encoder.encode(name).length;
      this.offsets.set(name, offset);
    }
    return offset;
  }
}

const encoder = new TextEncoder();

/** The names that are to stand there, in their order; those that are the end of one that was there before are left out. */
function inOrder(root: NewNode, layout: FdtLayout): string[] {
  const own: string[] = [];
  const others: string[] = [];
  const walk = (node: NewNode): void => {
    const into = node === root ? own : others;
    for (const { name } of node.properties) into.push(name);
    for (const child of node.children) walk(child);
  };
  walk(root);
  const [downwards, upwards] =
    layout === 'dtc'
      ? [[], [...own, ...others]]
      : layout === 'packed'
        ? [own, others.reverse()]
        : [[...own, ...others], []];
  const grown: string[] = [];
  for (const name of new Set(downwards)) if (!grown.some((other) => other.endsWith(name))) grown.push(name);
  const kept = grown.reverse();
  for (const name of new Set(upwards)) if (!kept.some((other) => other.endsWith(name))) kept.push(name);
  return kept;
}
