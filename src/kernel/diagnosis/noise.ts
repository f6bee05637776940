import type { Frame } from './frame.js';

/** Functions that say nothing about a crash, and why not. `names`are matched whole, in their source form. */ interface NoiseRule {
  readonly why: string;
  readonly names: RegExp;
}
const rule = (why: string, names: string): NoiseRule => ({
  why,
  names: new RegExp(`^(?:${names.trim().split(/\s+/).join('|')})$`),
}); /** How the kernel told of its end, or was brought to tell: left out wherever it stands. */
const MACHINERY: readonly NoiseRule[] = [
  rule(
    'tells of the end',
    `dump_stack dump_stack_lvl __dump_stack show_stack show_trace_log_lvl show_regs panic vpanic nmi_panic
     panic_other_cpus_shutdown die __die __die_body __die_header die_addr oops_end oops_begin oops_exit make_task_dead rewind_stack_and_make_dead
     crash_kexec __crash_kexec machine_kexec machine_crash_shutdown native_machine_crash_shutdown crash_setup_regs crash_save_cpu
     i8042_panic_blink panic_blink_[a-z]+ mdelay __const_udelay __udelay __delay delay_tsc delay_loop delay_halt(?:_tpause)? panic_smp_self_stop nmi_panic_self_stop
     check_panic_on_warn __warn warn_slowpath_(?:common|fmt|null) __warn_printk report_bug __report_bug handle_bug
     fixup_bug mce_panic print_address_description print_report kasan_report.* __asan_report_.* kasan_end_report end_report
     dump_header oom_kill_process`,
  ),
  rule(
    'where every stack begins',
    `entry_SYSCALL_.* entry_SYSENTER_.* entry_INT80_.* do_syscall_64 do_syscall_x64 x64_sys_call ia32_sys_call
     system_call_fastpath ret_from_fork(?:_asm|) kthread secondary_startup_64(?:_no_verify|) start_secondary
     common_startup_64 x86_64_start_(?:kernel|reservations) cpu_startup_entry`,
  ),
  rule(
    'the check that found it',
    `__list_add_valid(?:_or_report|) __list_del_entry_valid(?:_or_report|) usercopy_abort __check_object_size
     __check_heap_object check_heap_object __stack_chk_fail fortify_panic __fortify_panic __fortify_report
     refcount_warn_saturate __slab_bug object_err slab_err __kasan_.* kasan_.* check_region_inline __asan_.* kfence_.*
     __ubsan_.* ubsan_.*`,
  ),
  rule(
    'entry of an exception',
    `page_fault_oops no_context bad_area(?:_.*|) __bad_area(?:_.*|) kernelmode_fixup_or_oops exc_.* asm_exc_.*
     do_error_trap do_trap(?:_.*|)
     do_(?:invalid_op|general_protection|page_fault|double_fault|int3|divide_error|user_addr_fault|kern_addr_fault|async_page_fault|debug|nmi|machine_check)
     __do_page_fault async_page_fault page_fault general_protection invalid_op double_fault divide_error error_entry
     paranoid_entry handle_stack_overflow nmi asm_nmi end_repeat_nmi repeat_nmi default_do_nmi nmi_handle
     bad_kernel_pc handle_invalid_op handle_page_fault ret_from_exception`,
  ),
  rule(
    'the watchdog that looked',
    `watchdog_timer_fn watchdog_overflow_callback watchdog_hardlockup_check __hrtimer_run_queues hrtimer_interrupt
     is_hardlockup __perf_event_overflow perf_event_overflow intel_pmu_handle_irq handle_pmi_common amd_pmu_handle_irq
     perf_event_nmi_handler perf_event_task_tick nmi_cpu_backtrace(?:_handler|) nmi_trigger_cpumask_backtrace
     trigger_single_cpu_backtrace rcu_dump_cpu_stacks rcu_sched_clock_irq rcu_check_gp_kthread_starvation
     print_cpu_stall(?:_info|) print_other_cpu_stall check_cpu_stall panic_on_rcu_stall update_process_times
     tick_sched_timer tick_sched_handle tick_nohz_handler tick_periodic arch_trigger_cpumask_backtrace sched_show_task
     watchdog check_hung_task check_hung_uninterruptible_tasks`,
  ),
  rule(
    'entry of an interrupt',
    `asm_sysvec_.* sysvec_.* __sysvec_.* asm_common_interrupt common_interrupt asm_call_.* apic_timer_interrupt
     smp_apic_timer_interrupt reschedule_interrupt smp_reschedule_interrupt call_function_interrupt ret_from_intr
     do_IRQ handle_irq __handle_irq do_softirq(?:_own_stack|) __do_softirq handle_softirqs irq_exit irq_exit_rcu
     __irq_exit_rcu irq_enter(?:_rcu|) run_ksoftirqd call_softirq run_irq_on_irqstack_cond invoke_softirq
     run_irq_workd common_interrupt_return restore_regs_and_return_to_kernel`,
  ),
];

/** How control came to where it went wrong: left out of the callers, but not where it is the place itself. */
const WAY_IN: readonly NoiseRule[] = [
  rule(
    'entry of a system call',
    `do_int80_.* do_fast_syscall_32 __do_fast_syscall_32 do_SYSENTER_32 tracesys sys_.* ksys_.* syscall_exit_to_user_mode.*
     exit_to_user_mode.* __?el0_.* el0t?_.* invoke_syscall do_el0_svc`,
  ),
  rule(
    'the start of a task',
    `kernel_thread_starter worker_thread process_one_work process_scheduled_works rescuer_thread kthread_worker_fn
     smpboot_thread_fn irq_thread irq_thread_fn start_kernel rest_init do_idle cpuidle_idle_call
     cpuidle_enter(?:_state|) call_cpuidle default_idle(?:_call|) arch_cpu_idle default_enter_idle kernel_init
     kernel_init_freeable do_one_initcall do_initcalls do_basic_setup do_init_module load_module __do_sys_finit_module
     init_module_from_file idempotent_init_module`,
  ),
  rule(
    'what dispatched it',
    `irq_work_single irq_work_run irq_work_run_list call_timer_fn expire_timers __run_timers __run_timer_base
     run_timer_base run_timer_softirq tasklet_action(?:_common|) tasklet_hi_action rcu_do_batch rcu_core rcu_core_si
     handle_irq_event(?:_percpu|) __handle_irq_event_percpu handle_edge_irq handle_fasteoi_irq handle_level_irq
     generic_handle_irq(?:_desc|) task_work_run notifier_call_chain blocking_notifier_call_chain
     __flush_smp_call_function_queue generic_smp_call_function_single_interrupt flush_smp_call_function_queue`,
  ),
  rule(
    'the way through the file system',
    `vfs_read vfs_write vfs_readv vfs_writev new_sync_read new_sync_write __vfs_read __vfs_write do_iter_read
     do_iter_readv_writev do_iter_write do_readv do_writev vfs_iter_read vfs_iter_write seq_read seq_read_iter
     proc_reg_read proc_reg_write proc_reg_read_iter proc_reg_write_iter generic_file_splice_read copy_splice_read
     filemap_splice_read splice_direct_to_actor do_splice_direct(?:_actor|) splice_file_to_pipe do_splice_read
     do_splice(?:_to|) do_splice_from direct_splice_actor do_sendfile vfs_ioctl do_vfs_ioctl kernfs_fop_read(?:_iter|)
     kernfs_fop_write(?:_iter|) kernfs_seq_show sysfs_kf_write sysfs_kf_seq_show kobj_attr_store kobj_attr_show
     dev_attr_store dev_attr_show proc_single_show full_proxy_write full_proxy_read`,
  ),
];

/** How a task waits: what it waited in says more. Left out where something hangs. */
const WAITING: readonly NoiseRule[] = [
  rule(
    'how it waits',
    `__schedule schedule schedule_idle preempt_schedule.* __cond_resched schedule_timeout(?:_.*|) schedule_preempt_disabled
     schedule_hrtimeout.* io_schedule(?:_.*|) bit_wait(?:_io|) __wait_on_bit(?:_lock|)
     out_of_line_wait_on_bit(?:_lock|) wait_for_completion(?:_.*|) __wait_for_common wait_for_common
     __mutex_lock(?:_.*|) mutex_lock(?:_.*|) __down(?:_.*|)
     down(?:_read|_write|)(?:_killable|_interruptible|_slowpath|) rwsem_down_.* __rt_mutex_.* rt_mutex_.* __rwbase_.*
     folio_wait_bit(?:_.*|) folio_wait_.* __folio_lock wait_on_page_.* __lock_page __switch_to(?:_asm|)
     msleep(?:_interruptible|) usleep_range(?:_state|) do_wait_intr_irq wait_woken context_switch`,
  ),
];

/** Where a CPU spins: who spins says more. Left out where a CPU is stuck. */
const SPINNING: readonly NoiseRule[] = [
  rule(
    'how it spins',
    `native_queued_spin_lock_slowpath pv_queued_spin_lock_slowpath __pv_queued_spin_lock_slowpath queued_spin_lock_slowpath
     _raw_spin_lock(?:_.*|) do_raw_spin_lock _raw_read_lock(?:_.*|) _raw_write_lock(?:_.*|) queued_read_lock_slowpath
     queued_write_lock_slowpath rep_nop cpu_relax csd_lock_wait native_safe_halt pv_native_safe_halt`,
  ),
];

/** What the stack stands for: decides which functions mean nothing. */
export type StackUse = 'crash' | 'waits' | 'spins';

/**
 * Why a frame says nothing about what went wrong; undefined when it does say something.
 * A module's functions always do, whatever their names.
 * @param name the frame's source name
 * @param first no meaningful frame came before: this is the place itself
 */
export function noiseOf(frame: Frame, name: string, use: StackUse, first: boolean): string | undefined {
  if (frame.module !== undefined) return undefined;
  const extra = use === 'waits' ? WAITING : use === 'spins' ? SPINNING : [];
  const tables = first ? [...MACHINERY, ...extra] : [...MACHINERY, ...extra, ...WAY_IN];
  return tables.find(({ names }) => names.test(name))?.why;
}
