import type { Damage } from '../bytes/errors.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type { Fdt } from './fdt/fdt.js';

/** Physical memory, in bytes. */
export interface MemoryArea {
  readonly address: number;
  readonly size: number;
}

/** Memory that one kernel leaves to the next, as the handover's map has it: blocks of 2^order pages. */
export interface PreservedBlock extends MemoryArea {
  readonly order: number;
}

/** The map of preserved memory. */
export interface PreservedMap {
  /** `radix tree`, `bitmaps of 512 bytes`, `bitmaps of a page`, `mem properties`. */
  readonly form: string;
  /** Ascending by address. */
  readonly blocks: readonly PreservedBlock[];
  /** Pages that the map itself takes; nobody preserves them. */
  readonly own: readonly MemoryArea[];
  /** It was in use for other things when it was read: nothing of it is told. */
  readonly overwritten?: boolean;
  readonly damage: readonly Damage[];
}

/** A value in words, as someone who reads it wants it. */
export interface DecodedValue {
  readonly name: string;
  readonly value: string;
  /** The memory that it names. */
  readonly area?: MemoryArea;
}

/** A part of what a user hands over, taken apart. */
export interface DecodedNode {
  readonly name: string;
  readonly values: readonly DecodedValue[];
  readonly children: readonly DecodedNode[];
}

/** Memory that a user names. */
export interface NamedArea extends MemoryArea {
  readonly what: string;
}

/** Someone in the old kernel who hands something over: a node of the root, and what it leads to. */
export interface HandoverUser {
  readonly name: string;
  /** Where its own description stands; undefined: in the tree itself. */
  readonly blob: MemoryArea | undefined;
  /** The description itself; absent: it is not there, or in the tree. */
  readonly bytes?: Uint8Array;
  /** What the description is: `device tree memblock-v1`, `struct luo_ser luo-v5`, `not known`. */
  readonly format: string;
  readonly content: DecodedNode | undefined;
  readonly areas: readonly NamedArea[];
  readonly damage: readonly Damage[];
}

/** A file that is handed over: its bytes lie in folios. */
export interface HandoverFile {
  /** `session/token`. */
  readonly name: string;
  readonly size: number;
  readonly folios: readonly { readonly address: number; readonly index: number; readonly flags: number }[];
  /** Bits of its list of folios (`kho_vmalloc.flags`) that no kernel up to 7.2 knows. */
  readonly unknownFlags?: number;
  /** What a kernel that takes this form refuses it for, if anything. */
  readonly refusal?: string;
}

/** One handover, as far as its source tells. */
export interface Handover {
  /** The root's `compatible`. */
  readonly compatible: string;
  /** `upstream`, or the series of 2023/24. Undefined: neither by its shape. */
  readonly series: 'upstream' | '2023' | undefined;
  /** To the kernel in the source, or from it. Undefined: not told. */
  readonly direction: 'incoming' | 'outgoing' | undefined;
  /** Where the tree stands in memory. */
  readonly address: number | undefined;
  readonly tree: Fdt;
  /** Memory in which the next kernel may do as it likes: nothing preserved lies there. */
  readonly scratch: readonly MemoryArea[];
  /** Undefined: the source has no memory, or the tree names no map. */
  readonly preserved: PreservedMap | undefined;
  readonly users: readonly HandoverUser[];
  readonly files: readonly HandoverFile[];
  /** How it was found, and what tells its version. */
  readonly evidence: readonly string[];
  readonly damage: readonly Damage[];
}

/** Where the bytes of a handover come from. */
export interface HandoverSource {
  /** Undefined: only the blobs are there. */
  readonly memory: PhysicalMemory | undefined;
  /** Blobs that were copied beside the tree, by the user's name. */
  readonly blobs: ReadonlyMap<string, Uint8Array>;
}
