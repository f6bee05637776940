/** An ELF note to be written. */
export interface WrittenNote {
  /** `CORE`, `QEMU`, `VMCOREINFO`; without the NUL. */
  readonly name: string;
  /** `n_type`. */
  readonly type: number;
  readonly description: Uint8Array;
}

/** `struct new_utsname`: what `uname -a` prints. Strings of up to 64 bytes; empty where it is not known. */
export interface UtsName {
  readonly sysname: string;
  readonly nodename: string;
  readonly release: string;
  readonly version: string;
  readonly machine: string;
  readonly domainname: string;
}

/** What goes into a new dump's header: plain data, the same for every format (and for a thread to be given). */
export interface DumpDescription {
  readonly machine: 'x86_64';
  /** In bytes. */
  readonly pageSize: number;
  readonly utsname: UtsName;
  /** When the kernel died, or was dumped: since 1970. 0 where it is not known. */
  readonly timestamp: { readonly seconds: number; readonly microseconds: number };
  /** The kernel's `phys_base`, in bytes; may be negative. Undefined: not known, and then 0 is written. */
  readonly physBase: bigint | undefined;
  /** How many CPUs the machine has: with NT_PRSTATUS notes for each of them. */
  readonly cpus: number;
  /** In the order in which they are written: NT_PRSTATUS of every CPU, QEMU's notes, VMCOREINFO, others. */
  readonly notes: readonly WrittenNote[];
  /** The text of VMCOREINFO, as its note has it. */
  readonly vmcoreinfo: Uint8Array | undefined;
  /** makedumpfile's `-d`: what was left out of this dump, including what the input did not have already. */
  readonly dumpLevel: number;
  /** Where the kernel maps all memory (`page_offset_base`): for `p_vaddr`. Undefined: not known, and `p_vaddr` is 0. */
  readonly directMap: bigint | undefined;
  /** The kernel's image in its own map (from `_stext` on, as in /proc/vmcore): a segment of its own in an ELF core. */
  readonly kernelText:
    | { readonly virtual: bigint; readonly physical: number /** In bytes. */; readonly size: number }
    | undefined;
}
