import { i32, i64, structTable, u16, u32, u64 } from '../../bytes/struct-table.js';

/** `n_type` of a note called CORE that holds a `struct elf_prstatus` (include/uapi/linux/elf.h). */
export const NT_PRSTATUS = 1;
/** `n_type` of the CORE note with which /proc/kcore hands out the reading task's `task_struct` (fs/proc/kcore.c). */
export const NT_TASKSTRUCT = 4;

/** Size of the description of an x86-64 NT_PRSTATUS note, in bytes; no other architecture's is as long. */
export const PRSTATUS_BYTES = 336;
/** The same of a 32-bit x86 note. QEMU writes those for an x86-64 machine whose first CPU was not in long mode. */
export const PRSTATUS_32_BYTES = 144;

/**
 * `struct elf_prstatus` of x86-64, little-endian (include/linux/elfcore.h; its registers are `struct user_regs_struct`,
 * arch/x86/include/asm/user_64.h). Times are seconds and microseconds.
 */
export const PRSTATUS = structTable('elf_prstatus', PRSTATUS_BYTES, {
  si_signo: i32(0),
  si_code: i32(4),
  si_errno: i32(8),
  pr_cursig: u16(12),
  pr_sigpend: u64(16),
  pr_sighold: u64(24),
  pr_pid: u32(32),
  pr_ppid: u32(36),
  pr_pgrp: u32(40),
  pr_sid: u32(44),
  pr_utime_sec: i64(48),
  pr_utime_usec: i64(56),
  pr_stime_sec: i64(64),
  pr_stime_usec: i64(72),
  pr_cutime_sec: i64(80),
  pr_cutime_usec: i64(88),
  pr_cstime_sec: i64(96),
  pr_cstime_usec: i64(104),
  r15: u64(112),
  r14: u64(120),
  r13: u64(128),
  r12: u64(136),
  rbp: u64(144),
  rbx: u64(152),
  r11: u64(160),
  r10: u64(168),
  r9: u64(176),
  r8: u64(184),
  rax: u64(192),
  rcx: u64(200),
  rdx: u64(208),
  rsi: u64(216),
  rdi: u64(224),
  orig_rax: u64(232),
  rip: u64(240),
  cs: u64(248),
  eflags: u64(256),
  rsp: u64(264),
  ss: u64(272),
  fs_base: u64(280),
  gs_base: u64(288),
  ds: u64(296),
  es: u64(304),
  fs: u64(312),
  gs: u64(320),
  pr_fpvalid: i32(328),
});

/** `struct elf_prstatus` of 32-bit x86, little-endian (the same header; registers as in asm/user_32.h). */
export const PRSTATUS_32 = structTable('elf_prstatus (i386)', PRSTATUS_32_BYTES, {
  si_signo: i32(0),
  si_code: i32(4),
  si_errno: i32(8),
  pr_cursig: u16(12),
  pr_sigpend: u32(16),
  pr_sighold: u32(20),
  pr_pid: u32(24),
  pr_ppid: u32(28),
  pr_pgrp: u32(32),
  pr_sid: u32(36),
  ebx: u32(72),
  ecx: u32(76),
  edx: u32(80),
  esi: u32(84),
  edi: u32(88),
  ebp: u32(92),
  eax: u32(96),
  ds: u32(100),
  es: u32(104),
  fs: u32(108),
  gs: u32(112),
  orig_eax: u32(116),
  eip: u32(120),
  cs: u32(124),
  eflags: u32(128),
  esp: u32(132),
  ss: u32(136),
  pr_fpvalid: i32(140),
});

/** Registers of an NT_PRSTATUS note in the order in which people read them; `eflags` goes by its 64-bit name. */
export function prstatusRegisters(view: DataView): Map<string, bigint> {
  const r = PRSTATUS.read(view);
  return new Map([
    ['rip', r.rip],
    ['rsp', r.rsp],
    ['rflags', r.eflags],
    ['rax', r.rax],
    ['rbx', r.rbx],
    ['rcx', r.rcx],
    ['rdx', r.rdx],
    ['rsi', r.rsi],
    ['rdi', r.rdi],
    ['rbp', r.rbp],
    ['r8', r.r8],
    ['r9', r.r9],
    ['r10', r.r10],
    ['r11', r.r11],
    ['r12', r.r12],
    ['r13', r.r13],
    ['r14', r.r14],
    ['r15', r.r15],
    ['orig_rax', r.orig_rax],
    ['cs', r.cs],
    ['ss', r.ss],
    ['ds', r.ds],
    ['es', r.es],
    ['fs', r.fs],
    ['gs', r.gs],
    ['fs_base', r.fs_base],
    ['gs_base', r.gs_base],
  ]);
}
