import type { CrashKind } from '../log/crash-signs.js';
import { type Frame, sourceName } from './frame.js';

/** A function that only runs when a kernel ends in this way. */
export interface StackSign {
  readonly kind: CrashKind;
  /** The function that says so, by its source name. */
  readonly by: string;
}

/** What functions on the stack of the CPU that panicked mean, the more particular ones first. */
const SIGNS: readonly (readonly [kind: CrashKind, names: RegExp])[] = [
  ['sysrq', /^sysrq_handle_crash$/],
  ['hung-task', /^(?:check_hung_task|check_hung_uninterruptible_tasks|hung_task_info|watchdog)$/],
  ['hard-lockup', /^(?:watchdog_overflow_callback|watchdog_hardlockup_check|watchdog_buddy_check_hardlockup)$/],
  ['soft-lockup', /^watchdog_timer_fn$/],
  ['rcu-stall', /^(?:panic_on_rcu_stall|print_cpu_stall|print_other_cpu_stall|check_cpu_stall)$/],
  ['workqueue-lockup', /^(?:wq_watchdog_timer_fn|panic_on_wq_watchdog)$/],
  ['out-of-memory', /^(?:check_panic_on_oom|out_of_memory|pagefault_out_of_memory)$/],
  ['stack-overflow', /^handle_stack_overflow$/],
  ['double-fault', /^(?:exc_double_fault|do_double_fault)$/],
  ['machine-check', /^(?:mce_panic|do_machine_check|exc_machine_check)$/],
  [
    'corruption',
    /^(?:__list_(?:add|del_entry)_valid(?:_or_report)?|__stack_chk_fail|__fortify_panic|fortify_panic|usercopy_abort|schedule_debug)$/,
  ],
  ['warning', /^(?:check_panic_on_warn|__warn|warn_slowpath_common)$/],
  ['sanitizer', /^(?:kasan_report\w*|kfence_report_error|kmsan_report|end_report|__ubsan_\w+)$/],
  ['general-protection', /^(?:exc_general_protection|do_general_protection)$/],
  ['page-fault', /^(?:page_fault_oops|no_context|exc_page_fault|do_page_fault|__bad_area_nosemaphore)$/],
  ['bug', /^(?:exc_invalid_op|do_invalid_op)$/],
  ['nmi', /^(?:unknown_nmi_error|io_check_error|pci_serr_error)$/],
  ['no-root', /^(?:mount_block_root|mount_root_generic|mount_root)$/],
  ['init-died', /^(?:do_exit|do_group_exit)$/],
  ['exception', /^(?:oops_end|die)$/],
];

/** What kind of end the stack of the CPU that panicked shows; undefined when it shows none. Only frames that were unwound count. */
export function recognizeStack(frames: readonly Frame[]): StackSign | undefined {
  const names = frames
    .filter(({ reliable, module }) => reliable && module === undefined)
    .map(({ name }) => sourceName(name));
  if (!names.some((name) => ENDS.test(name))) return undefined;
  for (const [kind, pattern] of SIGNS) {
    const by = names.find((name) => pattern.test(name));
    if (by !== undefined) return { kind, by };
  }
  const by = names.find((name) => ENDS.test(name));
  return by === undefined ? undefined : { kind: 'panic', by };
}

/** Without one of these on it a stack shows no end. */
const ENDS = /^(?:panic|vpanic|nmi_panic|die|oops_end|__crash_kexec|crash_kexec)$/;
