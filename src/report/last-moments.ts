import { openKernelTrace } from '../trace/kernel-trace.js';
import { type LastEvent, lastMoments } from '../trace/last-moments.js';
import { inNanoseconds } from '../trace/text/line-front.js';
import type { Inside } from './inside.js';
import type { Absence } from './schema/common.js';
import type { LastEventReport, LastMomentsReport } from './schema/last-moments.js';
import { sumOf, TOP } from './trace.js';

/** Events of all CPUs together that a page has room for; of each CPU at least one. */
const EVENTS = 16;
const MOST_PER_CPU = 4;
const OF_TASK = 8;

/** The end of the trace that a kernel was keeping; null when it kept none, as most do. @param pid of the task that died */
export function lastMomentsReport(inside: Inside, pid: number | null): LastMomentsReport | Absence | null {
  return inside.section((view, damage): LastMomentsReport | null => {
    // A kernel without ftrace.
    if (view.kernel.symbols.address('ftrace_trace_arrays') === undefined) return null;
    const trace = openKernelTrace(view);
    const cpus = trace.onlineCpus ?? view.cpuCount;
    const perCpu = Math.max(1, Math.min(MOST_PER_CPU, Math.floor(EVENTS / Math.max(1, cpus))));
    const found = lastMoments(trace, { perCpu, pid: pid ?? undefined, ofTask: OF_TASK });
    damage.push(...trace.damage, ...(found?.buffer.damage ?? []));
    if (found === undefined) return null;
    const { buffer, last, ofTask } = found;
    const end = last.at(-1)?.time;
    const turn = (event: LastEvent): LastEventReport => ({
      cpu: event.cpu,
      time: String(event.time),
      before: end === undefined || !inNanoseconds(buffer.clock) ? null : Number(end - event.time) / 1e9,
      pid: event.pid,
      comm: event.comm,
      text: event.text,
    });
    return {
      buffer: buffer.instance ?? TOP,
      tracer: buffer.tracer,
      clock: buffer.clock,
      recording: buffer.recording ?? null,
      entries: sumOf(buffer, 'entries') ?? 0,
      last: last.map(turn),
      task: pid === null ? null : { pid, events: ofTask.map(turn) },
    };
  });
}
