/**
 * Where structure members lie, from whatever the dump offers: VMCOREINFO first, then BTF.
 * Offsets, sizes and lengths are in bytes (lengths: elements). Undefined: this kernel does not tell, or has no such member.
 */
export interface Layouts {
  /** `offset('printk_info', 'ts_nsec')`; a member inside an embedded structure is a path: `offset('timekeeper', 'tkr_mono.base')`. */
  offset(struct: string, member: string): number | undefined;
  /** `size('printk_info')`. */
  size(struct: string): number | undefined;
  /** Size of one member. */
  memberSize(struct: string, member: string): number | undefined;
  /** Value of an enumerator or a `NUMBER()` by name. */
  number(name: string): bigint | undefined;
}
