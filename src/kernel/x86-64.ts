import type { Vmcoreinfo } from './vmcoreinfo.js';

/** What is particular to Linux on x86-64 when looking for a kernel. */

/** `__START_KERNEL_map`: where the kernel image is mapped; arch/x86/include/asm/page_64_types.h. */
export const START_KERNEL_MAP = 0xffffffff80000000n;

/**
 * `hdr.pref_address` in `struct boot_params`, which the kernel keeps: the physical address that it was linked
 * to run at; Documentation/arch/x86/boot.rst.
 */
export const PREF_ADDRESS_OFFSET = 0x258n;

/**
 * Where VMCOREINFO says that the kernel's own page table is: `swapper_pg_dir` by way of `phys_base`, as a physical
 * address in bytes, which may be nonsense. Undefined when it names no table or no `phys_base`.
 */
export function pageTableOfVmcoreinfo(text: Vmcoreinfo): { physical: bigint; levels: readonly number[] } | undefined {
  const table = text.symbol('swapper_pg_dir') ?? text.symbol('init_top_pgt') ?? text.symbol('init_level4_pgt');
  const physBase = text.number('phys_base');
  if (table === undefined || physBase === undefined) return undefined;
  // Kernels before 4.17 do not say: four levels is what nearly all of them had.
  const five = text.number('pgtable_l5_enabled');
  return { physical: table - START_KERNEL_MAP + physBase, levels: five === undefined ? [4, 5] : [five === 0n ? 4 : 5] };
}
