/** VMCOREINFO: the page of text in which a kernel tells dump tools where things are (kernel/vmcore_info.c, crash_core.c). */
export interface Vmcoreinfo {
  /** The text as it stood, one `KEY=VALUE` a line. */
  readonly text: string;
  /** Every line, in order. */
  readonly lines: ReadonlyMap<string, string>;
  /** `SYMBOL(name)`: bare hexadecimal. */
  symbol(name: string): bigint | undefined;
  /** `OFFSET(struct.member)`: decimal bytes. */
  offset(struct: string, member: string): number | undefined;
  /** `SIZE(struct)`: decimal bytes. */
  size(struct: string): number | undefined;
  /** `LENGTH(name)`: decimal elements. */
  length(name: string): number | undefined;
  /** `NUMBER(name)`: decimal, signed, except where the kernel writes `0x…`. */
  number(name: string): bigint | undefined;
  readonly osrelease: string | undefined;
  /** 40 hexadecimal digits; kernels since 5.9. */
  readonly buildId: string | undefined;
  readonly pageSize: number | undefined;
  /** `KERNELOFFSET=`: bare hexadecimal, the KASLR offset in bytes. */
  readonly kernelOffset: bigint | undefined;
  /** `CRASHTIME=`: decimal seconds since 1970; only a kernel that panicked writes it. */
  readonly crashTime: number | undefined;
  /** Lines that are neither `KEY=VALUE` nor empty. */
  readonly junk: readonly string[];
}
