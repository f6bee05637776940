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
 * Writes a flattened device tree of version 17, as dtc lays it out: header, reserved memory, nodes (properties before
 * children), names, each of which stands there once.
 */
export function writeFdt({ root, reservations = [], bootCpu = 0 }: NewFdt): Uint8Array {
  const names = new Names();
  const structure = new Words();
  putNode(structure, names, root);
  structure.word(FdtToken.end);
  const reserved = FDT_HEADER.size;
  const nodes = reserved + (reservations.length + 1) * 16;
  const strings = nodes + structure.length;
  const bytes = new Uint8Array(strings + names.length);
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
      size_dt_strings: names.length,
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

function putNode(out: Words, names: Names, { name, properties, children }: NewNode): void {
  out.word(FdtToken.beginNode).put(encoder.encode(`${name}\0`));
  for (const property of properties) {
    out.word(FdtToken.property).word(property.value.length).word(names.offset(property.name)).put(property.value);
  }
  for (const child of children) putNode(out, names, child);
  out.word(FdtToken.endNode);
}

const encoder = new TextEncoder();

/** Words and bytes, each padded to 4. */
class Words {
  private buffer = new Uint8Array(1024);
  length = 0;

  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  word(value: number): this {
    const at = this.grow(4);
    new DataView(this.buffer.buffer).setUint32(at, value);
    return this;
  }

  put(bytes: Uint8Array): this {
    const at = this.grow((bytes.length + 3) & ~3);
    this.buffer.set(bytes, at);
    return this;
  }

  private grow(size: number): number {
    const at = this.length;
    this.length += size;
    if (this.length > this.buffer.length) {
      const bigger = new Uint8Array(Math.max(this.length, this.buffer.length * 2));
      bigger.set(this.buffer);
      this.buffer = bigger;
    }
    return at;
  }
}

/** Names of properties, behind each other. */
class Names {
  private readonly offsets = new Map<string, number>();
  private text = '';

  get length(): number {
    return this.bytes.length;
  }

  get bytes(): Uint8Array {
    return encoder.encode(this.text);
  }

  offset(name: string): number {
    let offset = this.offsets.get(name);
    if (offset === undefined) {
      offset = this.bytes.length;
      this.offsets.set(name, offset);
      this.text += `${name}\0`;
    }
    return offset;
  }
}
