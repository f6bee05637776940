import type { PhysicalAddress, VirtualAddress } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import type { DecodedStruct } from '../bytes/struct-table.js';
import type { CompressionMethod } from '../codecs/codec.js';
import type { PhysicalMemory } from './memory.js';

/** What kind of file it is, by its own structure; `guest` is no file: a machine found in another one's memory. */
export type ContainerFormat = 'elf' | 'kdump' | 'raw' | 'guest';

/** An ELF note as it stands in the file. */
export interface Note {
  /** `CORE`, `QEMU`, `VMCOREINFO`, `LINUX`…; without the NUL. */
  readonly name: string;
  /** `n_type`: 1 is NT_PRSTATUS in a note called CORE. */
  readonly type: number;
  /** The descriptor's bytes. */
  readonly description: Uint8Array;
  /** Where the note's header lies in the file (in the *unflattened* file where the input is flattened), in bytes. */
  readonly offset: number;
  /** Registers that whoever made it did not have: zeros stand in their places. Only of notes that are in no file. */
  readonly unknown?: readonly string[];
}

/** A span of the file's own claim which virtual addresses lie where (ELF `p_vaddr`). True in kcore and vmcore, not in QEMU's files. */
export interface VirtualSpan {
  readonly virtual: VirtualAddress;
  readonly physical: PhysicalAddress | undefined;
  readonly fileOffset: number;
  /** In bytes. */
  readonly size: number;
}

/** One line of `exhume info`: a header field in words. */
export interface HeaderFact {
  /** The field as the format's own header names it: `header_version`, `e_phoff`. */
  readonly name: string;
  readonly value: string | number | bigint;
  /** What it means, or what is wrong with it. */
  readonly note?: string;
}

/** The process whose core a dump is, and which ran a machine. */
export interface CoredProcess {
  readonly pid: number;
  readonly comm: string;
  /** Its arguments, the program first; empty where they could not be read. */
  readonly commandLine: readonly string[];
  /** How it ran the machine: `KVM`, `TCG`. */
  readonly accelerator: string;
  /** Why the CPUs' registers may be older than the memory, in words; undefined: they are not. */
  readonly stale?: string;
  /** What ended it; undefined: nothing, the core is of a process that went on. */
  readonly death:
    | {
        /** `SIGABRT` */
        readonly signal: string;
        /** Who sent it, or which address was at fault; may be empty. */
        readonly detail: string;
        /** The number of the thread that it struck. */
        readonly thread: number;
        /** Where in its code: `FILE+0xOFFSET`. */
        readonly where: string;
        /** What it printed before it gave up. */
        readonly messages: readonly string[];
      }
    | undefined;
}

/** A dump file, opened: physical memory, the CPUs' notes, and what its own header says. */
export interface Container {
  readonly format: ContainerFormat;
  /** In words: `ELF64 core`, `kdump-compressed, header version 6`. */
  readonly description: string;
  /** The input is makedumpfile's flattened form around `format`. */
  readonly flattened: boolean;
  /** It is the memory of a running kernel: it changes while it is read. */
  readonly live?: boolean;
  /** The files it was opened from, by name; several for a `--split` set. */
  readonly files: readonly string[];
  readonly littleEndian: boolean;
  /** 32 or 64: the layout of the container's structures, not proof of the kernel's. */
  readonly wordBits: 32 | 64;
  /** The architecture that the header claims, in `uname -m` words (`x86_64`); undefined where it says nothing useful. */
  readonly claimedMachine: string | undefined;
  readonly memory: PhysicalMemory;
  /** How its pages are compressed, by the header's word; undefined where they are not. Single ones may be otherwise. */
  readonly compression?: CompressionMethod | undefined;
  readonly notes: readonly Note[];
  /** VMCOREINFO's text as the container holds it, from a note or a header field. */
  readonly vmcoreinfo: Uint8Array | undefined;
  /** `phys_base` as the header claims it, in bytes (signed). QEMU writes it wrong: never trust it unchecked. */
  readonly claimedPhysBase: bigint | undefined;
  /** The file's own virtual addresses; empty where it has none. */
  readonly spans: readonly VirtualSpan[];
  /** The writer marked it as cut off (ENOSPC), or the file ends before its own structures do. */
  readonly incomplete: boolean;
  /** Header fields in words, in the order of the file. */
  readonly facts: readonly HeaderFact[];
  /** The same field by field with offsets and bytes, for `--raw`. */
  readonly structures: readonly DecodedStruct[];
  readonly damage: readonly Damage[];
  /** It is the core of a process that ran the machine. */
  readonly process?: CoredProcess;
  /** CPUs whose registers in the notes may be older than the memory, by their position among the notes, and why. */
  readonly staleCpus?: ReadonlyMap<number, string>;
}
