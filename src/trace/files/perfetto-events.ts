/** Events that Perfetto has messages of its own for, by `system/name`: its number in FtraceEvent, and that of each field. */
export interface PerfettoEvent {
  readonly id: number;
  readonly fields: Readonly<Record<string, number>>;
}

const WAKEUP = { comm: 1, pid: 2, prio: 3, success: 4, target_cpu: 5 };

/** Of protos/perfetto/trace/ftrace/{ftrace_event,sched,irq,task,power,raw_syscalls,ftrace}.proto. */
export const PERFETTO_EVENTS: Readonly<Record<string, PerfettoEvent>> = {
  'ftrace/print': { id: 3, fields: { ip: 1, buf: 2 } },
  'sched/sched_switch': {
    id: 4,
    fields: { prev_comm: 1, prev_pid: 2, prev_prio: 3, prev_state: 4, next_comm: 5, next_pid: 6, next_prio: 7 },
  },
  'power/cpu_frequency': { id: 11, fields: { state: 1, cpu_id: 2 } },
  'power/cpu_idle': { id: 13, fields: { state: 1, cpu_id: 2 } },
  'sched/sched_wakeup': { id: 17, fields: WAKEUP },
  'sched/sched_waking': { id: 20, fields: WAKEUP },
  'irq/softirq_entry': { id: 24, fields: { vec: 1 } },
  'irq/softirq_exit': { id: 25, fields: { vec: 1 } },
  'irq/softirq_raise': { id: 26, fields: { vec: 1 } },
  'irq/irq_handler_entry': { id: 36, fields: { irq: 1, name: 2 } },
  'irq/irq_handler_exit': { id: 37, fields: { irq: 1, ret: 2 } },
  'sched/sched_wakeup_new': { id: 114, fields: WAKEUP },
  'task/task_newtask': { id: 235, fields: { pid: 1, comm: 2, clone_flags: 3, oom_score_adj: 4 } },
  'task/task_rename': { id: 236, fields: { pid: 1, oldcomm: 2, newcomm: 3, oom_score_adj: 4 } },
  'sched/sched_process_exec': { id: 237, fields: { filename: 1, pid: 2, old_pid: 3 } },
  'sched/sched_process_exit': { id: 238, fields: { comm: 1, pid: 2, prio: 4 } },
  'sched/sched_process_fork': {
    id: 239,
    fields: { parent_comm: 1, parent_pid: 2, child_comm: 3, child_pid: 4 },
  },
  'sched/sched_process_free': { id: 240, fields: { comm: 1, pid: 2, prio: 3 } },
  'raw_syscalls/sys_enter': { id: 329, fields: { id: 1, args: 2 } },
  'raw_syscalls/sys_exit': { id: 330, fields: { id: 1, ret: 2 } },
};

/** Numbers in FtraceEvent from here on belong to events that the file itself describes. */
export const FIRST_DESCRIBED = 65536;
