import { viewOf } from '../../bytes/struct-table.js';
import { type CpuStruct, REACH } from './cpu-structs.js';
import type { MappedFile } from './process-core.js';
import type { ProcessMemory } from './process-memory.js';

/** Whose registers of a CPU are right: `qemu`: the copy that QEMU has; `kvm`: the kernel's, which are not in the core. */
export type RegisterOwner = 'qemu' | 'kvm';

/** What a CPU shares with KVM: pages of the CPU's file, `struct kvm_run` first. */
const SHARED_PAGES = /^anon_inode:\[?kvm-vcpu/;
/** `struct CPUState` behind `kvm_run`: what follows is looked at so far. */
const BEHIND = 0x100;
const MOST_CPUS = 8192;
/** `UNASSIGNED_CLUSTER_INDEX`, and an `exception_index` of none. */
const NONE = 0xffff_ffff;
/** Offsets from `kvm_run` of `kvm_vcpu_stats_fd` and `vcpu_dirty` since QEMU 9.1. */
const STATISTICS_FILE = 32;
const DIRTY_LATER = 36;
const MOST_FILES = 1 << 20;

/**
 * Tells for each CPU whether QEMU's copy of its registers counts. QEMU asks KVM for them when it needs them, sets
 * `vcpu_dirty`, and gives them back before the CPU runs on (QEMU include/hw/core/cpu.h, accel/kvm/kvm-all.c).
 *
 * The place is found from `kvm_run`, the only pointer into pages that QEMU shares with KVM. Up to 8.0 the flag is
 * behind {cpu_index, cluster_index, tcg_cflags, halted, can_do_io, exception_index}, since 9.1 behind
 * {kvm_run, kvm_dirty_gfns, kvm_fetch_index, dirty_pages, kvm_vcpu_stats_fd}. Undefined where neither is seen.
 */
export function registerOwners(
  memory: ProcessMemory,
  structs: readonly Pick<CpuStruct, 'eip'>[],
  files: readonly MappedFile[],
): (RegisterOwner | undefined)[] {
  const shared = new Set(files.filter(({ path }) => SHARED_PAGES.test(path)).map(({ start }) => start));
  return structs.map(({ eip }) => {
    const bytes = memory.before(eip, REACH);
    const view = viewOf(bytes);
    for (let at = bytes.length - 8 - BEHIND; at >= 0; at -= 8) {
      if (!shared.has(Number(view.getBigUint64(at, true)))) continue;
      const dirty = flagBehind(view, at);
      if (dirty !== undefined) return dirty ? 'qemu' : 'kvm';
    }
    return undefined;
  });
}

/** `vcpu_dirty` of the CPU whose `kvm_run` is at an offset. */
function flagBehind(view: DataView, kvmRun: number): boolean | undefined {
  const word = (at: number): number => view.getUint32(at, true);
  const flag = (at: number): boolean | undefined => {
    const value = view.getUint8(at);
    return value > 1 ? undefined : value === 1;
  };
  const statistics = word(kvmRun + STATISTICS_FILE);
  if (statistics > 2 && statistics < MOST_FILES) return flag(kvmRun + DIRTY_LATER);
  for (let at = kvmRun + 24; at + 28 <= kvmRun + BEHIND; at += 4) {
    if (word(at) >= MOST_CPUS || word(at + 4) !== NONE) continue;
    // tcg_cflags came in 6.1: halted and can_do_io are 0 or 1.
    for (const exception of [at + 16, at + 20]) {
      if (word(exception) === NONE && word(exception - 8) <= 1 && word(exception - 4) <= 1) return flag(exception + 4);
    }
  }
  return undefined;
}
