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
 * Writes a flattened device tree of version 17, as dtc lays it out: header, reserved memory, nodes (properties before
 * children), names, each of which stands there once.
 */
export function writeFdt({ root, reservations = [], bootCpu = 0 }: NewFdt): Uint8Array {
  const names = new Names();
  const structure = new ByteWriter(false);
  putNode(structure, names, root);
  structure.u32(FdtToken.end);
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
  private readonly offsets = new Map<string, number>();
  private readonly text = new ByteWriter();

  get length(): number {
    return this.text.length;
  }

  get bytes(): Uint8Array {
    return this.text.bytes;
  }

  offset(name: string): number {
    let offset = this.offsets.get(name);
    if (offset === undefined) {
      offset = this.text.length;
      this.offsets.set(name, offset);
      this.text.string(name);
    }
    return offset;
  }
}
