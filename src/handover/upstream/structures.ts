import { raw, structTable, text, u16, u32, u64 } from '../../bytes/struct-table.js';

/** Structures of the handover, little endian, packed; of include/linux/kho/abi/*.h. */

/** `struct kho_scratch` */
export const KHO_SCRATCH = structTable('kho_scratch', 16, { addr: u64(0), size: u64(8) });
/** `struct kho_vmalloc`: pages that lie apart and were mapped as one piece. */
export const KHO_VMALLOC = structTable('kho_vmalloc', 16, {
  first: u64(0),
  total_pages: u32(8),
  flags: u16(12),
  order: u16(14),
});
/** `struct kho_block_header_ser`: a page of entries, in a list. */
export const KHO_BLOCK = structTable('kho_block_header_ser', 16, { next: u64(0), count: u64(8) });
/** `struct kho_kexec_metadata` */
export const KEXEC_METADATA = structTable('kho_kexec_metadata', 73, {
  version: u32(0),
  previous_release: text(4, 65),
  kexec_count: u32(69),
});
/** `struct luo_ser` of luo-v5 */
export const LUO = structTable('luo_ser', 32, {
  compatible: text(0, 8),
  liveupdate_num: u64(8),
  sessions_pa: u64(16),
  flbs_pa: u64(24),
});
/** `struct luo_session_header_ser` of luo-v1: sessions follow, without blocks. */
export const LUO_SESSION_HEADER = structTable('luo_session_header_ser', 8, { count: u64(0) });
export const LUO_SESSION = structTable('luo_session_ser', 80, { name: text(0, 64), files: u64(64), count: u64(72) });
export const LUO_FILE = structTable('luo_file_ser', 64, { compatible: text(0, 48), data: u64(48), token: u64(56) });
export const LUO_FLB_HEADER = structTable('luo_flb_header_ser', 16, { pgcnt: u64(0), count: u64(8) });
export const LUO_FLB = structTable('luo_flb_ser', 64, { name: text(0, 48), data: u64(48), count: u64(56) });
/** `struct memfd_luo_ser` of memfd-v2 */
export const MEMFD = structTable('memfd_luo_ser', 48, {
  pos: u64(0),
  size: u64(8),
  seals: u32(16),
  flags: u32(20),
  nr_folios: u64(24),
  folios: raw(32, 16),
});
/** `struct memfd_luo_ser` of memfd-v1 (6.19) */
export const MEMFD_V1 = structTable('memfd_luo_ser', 40, {
  pos: u64(0),
  size: u64(8),
  nr_folios: u64(16),
  folios: raw(24, 16),
});
/** `struct memfd_luo_folio_ser`: the page's number in the lower 52 bits, flags above. */
export const MEMFD_FOLIO = structTable('memfd_luo_folio_ser', 16, { pfn_flags: u64(0), index: u64(8) });
