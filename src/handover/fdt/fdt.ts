import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { structTable, u32, viewOf } from '../../bytes/struct-table.js';

/**
 * Flattened device trees, as the Devicetree Specification 0.4 (chapter 5) and libfdt have them: everything big endian,
 * whatever the machine. What stands in the values is another matter.
 */

/** Version 17; version 16 ends before `size_dt_struct`. */
export const FDT_HEADER = structTable('fdt_header', 40, {
  magic: u32(0),
  totalsize: u32(4),
  off_dt_struct: u32(8),
  off_dt_strings: u32(12),
  off_mem_rsvmap: u32(16),
  version: u32(20),
  last_comp_version: u32(24),
  boot_cpuid_phys: u32(28),
  size_dt_strings: u32(32),
  size_dt_struct: u32(36),
});

export const FDT_MAGIC = 0xd00dfeed;
/** A tree that is still being written one piece after the other (libfdt's fdt_sw.c). */
export const FDT_IN_PROGRESS = 0x2ff20112;
export const FdtToken = { beginNode: 1, endNode: 2, property: 3, nop: 4, end: 9 } as const;

/** Of version 16. */
const SHORT_HEADER = 36;
/** The kernel's own trees are some levels deep. */
const DEEPEST = 256;
const MOST_DAMAGE = 16;
/** Of a property, in bytes; the specification allows 31. Many could share one long text. */
const LONGEST_NAME = 1024;

export interface FdtProperty {
  readonly name: string;
  /** A view of the blob. */
  readonly value: Uint8Array;
  /** Of the value in the blob, in bytes. */
  readonly offset: number;
}

export interface FdtNode {
  /** Empty for the root. */
  readonly name: string;
  readonly properties: readonly FdtProperty[];
  readonly children: readonly FdtNode[];
}

/** Memory that the tree says is taken: physical, in bytes. */
export interface FdtReservation {
  readonly address: bigint;
  readonly size: bigint;
}

/** A flattened device tree, as far as it could be read. */
export interface Fdt {
  readonly version: number;
  readonly lastCompatible: number;
  readonly bootCpu: number;
  /** What the header says the blob has, in bytes; there may be fewer. */
  readonly totalSize: number;
  /** How many of them are there. */
  readonly presentSize: number;
  /** It was still being written. */
  readonly inProgress: boolean;
  readonly reservations: readonly FdtReservation[];
  readonly root: FdtNode;
  /** Where its parts begin, in bytes. */
  readonly layout: { readonly reservations: number; readonly structure: number; readonly strings: number };
  readonly damage: readonly Damage[];
}

export interface FdtOptions {
  /** Names that the strings may have been, to tell lost ones by their lengths. */
  readonly knownNames?: readonly string[] | undefined;
}

/** Is it a device tree, or the beginning of one? */
export function isFdt(bytes: Uint8Array): boolean {
  if (bytes.length < 4) return false;
  const magic = viewOf(bytes).getUint32(0);
  return magic === FDT_MAGIC || magic === FDT_IN_PROGRESS;
}

/**
 * Reads a flattened device tree of version 16 or 17, its parts in any order; of one that is cut off or still being written
 * what is there. Throws EXH_NOT_A_DUMP without the magic number, EXH_TRUNCATED without a header, EXH_UNSUPPORTED_FORMAT for
 * versions that version 17 cannot read.
 */
export function readFdt(bytes: Uint8Array, options: FdtOptions = {}): Fdt {
  if (!isFdt(bytes))
    throw new ExhumeError('EXH_NOT_A_DUMP', 'not a flattened device tree: its magic number is missing');
  if (bytes.length < SHORT_HEADER) {
    throw new ExhumeError('EXH_TRUNCATED', `a flattened device tree of ${bytes.length} bytes has no header`, {
      expected: SHORT_HEADER,
      found: bytes.length,
    });
  }
  return new FdtReader(bytes, options).read();
}

/** What is being read of a node. */
interface OpenNode {
  readonly name: string;
  readonly properties: { nameOffset: number; value: Uint8Array; offset: number }[];
  readonly children: OpenNode[];
}

class FdtReader {
  private readonly view: DataView;
  private readonly header: { -readonly [K in keyof typeof FDT_HEADER.fields]: number };
  private readonly inProgress: boolean;
  private readonly damage: Damage[] = [];
  /** Of the blob: what the header says, or where the bytes end. */
  private readonly end: number;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly options: FdtOptions,
  ) {
    this.view = viewOf(bytes);
    const whole = new Uint8Array(FDT_HEADER.size);
    whole.set(bytes.subarray(0, FDT_HEADER.size));
    this.header = FDT_HEADER.read(viewOf(whole), 0, false);
    this.inProgress = this.header.magic === FDT_IN_PROGRESS;
    this.end = Math.min(bytes.length, this.header.totalsize);
  }

  read(): Fdt {
    const { header } = this;
    if (header.version < 16 || header.last_comp_version > 17) {
      throw new ExhumeError(
        'EXH_UNSUPPORTED_FORMAT',
        `a flattened device tree of version ${header.version} (readable by ${header.last_comp_version}): 16 and 17 are read`,
        { found: header.version, expected: 17 },
      );
    }
    if (header.totalsize > this.bytes.length) {
      this.tell('EXH_TRUNCATED', `the tree has ${header.totalsize} bytes, ${this.bytes.length} are there`);
    }
    if (this.inProgress) this.tell('EXH_TRUNCATED', 'the tree was still being written');
    const reservations = this.reservations();
    const root = this.structure();
    const names = this.names(root);
    return {
      version: header.version,
      lastCompatible: header.last_comp_version,
      bootCpu: header.boot_cpuid_phys,
      totalSize: header.totalsize,
      presentSize: this.end,
      inProgress: this.inProgress,
      reservations,
      root: named(root, names),
      layout: {
        reservations: header.off_mem_rsvmap,
        structure: header.off_dt_struct,
        strings: header.off_dt_strings,
      },
      damage: this.damage,
    };
  }

  private reservations(): FdtReservation[] {
    const found: FdtReservation[] = [];
    for (let at = this.header.off_mem_rsvmap; ; at += 16) {
      if (at + 16 > this.end) {
        this.tell('EXH_TRUNCATED', `the map of reserved memory does not end before ${this.end}`);
        return found;
      }
      const address = this.view.getBigUint64(at);
      const size = this.view.getBigUint64(at + 8);
      if (address === 0n && size === 0n) return found;
      found.push({ address, size });
    }
  }

  /** The nodes; what was not closed is closed where the bytes end. */
  private structure(): OpenNode {
    const { view, header } = this;
    const root: OpenNode = { name: '', properties: [], children: [] };
    const open: OpenNode[] = [];
    let ended = false;
    // Version 16 does not tell how long it is.
    const told = header.version >= 17 && !this.inProgress ? header.off_dt_struct + header.size_dt_struct : this.end;
    const end = Math.min(told, this.end);
    let at = header.off_dt_struct;
    while (at + 4 <= end) {
      const token = view.getUint32(at);
      const inside = open.at(-1);
      if (token === FdtToken.nop) {
        at += 4;
      } else if (token === FdtToken.end) {
        ended = true;
        break;
      } else if (token === FdtToken.beginNode) {
        const stop = this.bytes.subarray(at + 4, end).indexOf(0);
        const length = stop < 0 ? end - at - 4 : stop;
        const node: OpenNode =
          inside === undefined
            ? root
            : { name: decoder.decode(this.bytes.subarray(at + 4, at + 4 + length)), properties: [], children: [] };
        if (inside !== undefined) inside.children.push(node);
        if (open.push(node) > DEEPEST) return this.broken(root, at, `nodes more than ${DEEPEST} deep`);
        if (stop < 0) break;
        at += 4 + ((length + 4) & ~3);
      } else if (token === FdtToken.endNode) {
        if (inside === undefined) return this.broken(root, at, 'the end of a node that did not begin');
        open.pop();
        at += 4;
      } else if (token === FdtToken.property) {
        if (inside === undefined) return this.broken(root, at, 'a property outside of all nodes');
        if (at + 12 > end) break;
        const length = view.getUint32(at + 4);
        const value = this.bytes.subarray(at + 12, Math.min(at + 12 + length, end));
        inside.properties.push({ nameOffset: view.getInt32(at + 8), value, offset: at + 12 });
        if (value.length < length) {
          this.tell('EXH_TRUNCATED', `at ${at}: of a property's ${length} bytes ${value.length} are there`);
          return root;
        }
        at += 12 + ((length + 3) & ~3);
      } else {
        return this.broken(root, at, `${token} is no token`);
      }
    }
    if (!ended) this.tell('EXH_TRUNCATED', `the nodes do not end before ${end}: ${open.length} are open`);
    return root;
  }

  private broken(root: OpenNode, offset: number, what: string): OpenNode {
    this.tell('EXH_BAD_STRUCTURE', `at ${offset}: ${what}`);
    return root;
  }

  /** The names of all properties by where they stand. */
  private names(root: OpenNode): ReadonlyMap<number, string> {
    const { header, options } = this;
    const offsets = new Set<number>();
    const nodes = [root];
    for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
      for (const { nameOffset } of node.properties) offsets.add(nameOffset);
      for (const child of node.children) nodes.push(child);
    }
    const names = new Map<number, string>();
    const lost: number[] = [];
    // While it is written, the strings grow down from the blob's end, and are counted from there.
    const base = this.inProgress ? header.totalsize : header.off_dt_strings;
    for (const offset of offsets) {
      const start = base + offset;
      const end = Math.min(this.end, start + LONGEST_NAME + 1);
      const stop = start < 0 || start >= end ? -1 : this.bytes.subarray(start, end).indexOf(0);
      if (stop < 0) lost.push(offset);
      else names.set(offset, decoder.decode(this.bytes.subarray(start, start + stop)));
    }
    if (lost.length === 0) return names;
    const told = this.inProgress ? undefined : byLength([...offsets], header.size_dt_strings, options.knownNames ?? []);
    for (const offset of lost) names.set(offset, told?.get(offset) ?? `name@${offset}`);
    const how = told === undefined ? 'they are called by their places' : 'they are told by their lengths';
    this.tell('EXH_TRUNCATED', `${lost.length} names of properties are not there: ${how}`);
    return names;
  }

  private tell(code: Damage['code'], message: string): void {
    if (this.damage.length < MOST_DAMAGE) this.damage.push({ code, part: 'device tree', message });
  }
}

const decoder = new TextDecoder();

function named({ name, properties, children }: OpenNode, names: ReadonlyMap<number, string>): FdtNode {
  return {
    name,
    properties: properties.map(({ nameOffset, value, offset }) => ({
      name: names.get(nameOffset) ?? '',
      value,
      offset,
    })),
    children: children.map((child) => named(child, names)),
  };
}

/**
 * Names that are lost with the strings, told by how far apart they stood: each string is used, and begins where the one
 * before ended. Undefined when a length belongs to no known name, or to several.
 */
function byLength(offsets: number[], size: number, known: readonly string[]): ReadonlyMap<number, string> | undefined {
  const sorted = offsets.sort((a, b) => a - b);
  const names = new Map<number, string>();
  for (const [index, offset] of sorted.entries()) {
    const length = (sorted[index + 1] ?? size) - offset - 1;
    const [name, another] = known.filter((one) => one.length === length);
    if (name === undefined || another !== undefined) return undefined;
    names.set(offset, name);
  }
  return names;
}

/** The node at a path of names: `child(root, 'a', 'b')`. */
export function fdtChild(node: FdtNode, ...path: readonly string[]): FdtNode | undefined {
  let at: FdtNode | undefined = node;
  for (const name of path) at = at?.children.find((child) => child.name === name);
  return at;
}

/** The value of a property. */
export function fdtValue(node: FdtNode, name: string): Uint8Array | undefined {
  return node.properties.find((property) => property.name === name)?.value;
}

/** The strings of a value: `compatible`. */
export function fdtStrings(value: Uint8Array | undefined): readonly string[] {
  if (value === undefined || value.length === 0) return [];
  return decoder.decode(value).replace(/\0$/, '').split('\0');
}
