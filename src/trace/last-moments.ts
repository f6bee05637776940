import type { KernelTrace } from './kernel-trace.js';
import type { TraceBuffer, TraceEvent } from './model.js';
import { readEvents } from './ring/events.js';
import type { KernelBuffer } from './ring/kernel-buffers.js';
import { commOf } from './text/line-front.js';
import { TraceText } from './text/trace-text.js';

/** An event of a kernel's last moments. */
export interface LastEvent {
  readonly cpu: number;
  /** In units of the buffer's clock. */
  readonly time: bigint;
  readonly pid: number;
  readonly comm: string;
  /** `sched_switch: prev_comm=…`; lines of one event are joined by spaces. */
  readonly text: string;
}

/** What a kernel traced last. */
export interface LastMoments {
  readonly buffer: TraceBuffer;
  /** Of each CPU, by time over all of them. */
  readonly last: readonly LastEvent[];
  /** Of one task, on whatever CPU. */
  readonly ofTask: readonly LastEvent[];
}

export interface LastMomentsOptions {
  /** So many of each CPU… */
  readonly perCpu: number;
  /** …and so many of this task. */
  readonly pid: number | undefined;
  readonly ofTask: number;
}

/** Pages of each CPU that are looked through: a task's last events are among its CPU's last, or long ago. */
const PAGES = 4;

/**
 * The end of the top level trace, or of the first instance that holds anything, without reading what was before. Undefined when
 * the kernel traced nothing.
 */
export function lastMoments(trace: KernelTrace, options: LastMomentsOptions): LastMoments | undefined {
  const { buffers } = trace;
  const buffer = buffers.find((one) => !one.snapshot && !one.persistent && holdsEvents(one));
  if (buffer === undefined) return undefined;
  const end = {
    ...buffer,
    cpus: buffer.cpus.map((ring) => ({
      cpu: ring.cpu,
      statistics: ring.statistics,
      subBuffers: () => ring.latest(PAGES),
    })),
  };
  const onCpu = new Map<number, number>();
  let ofTask = 0;
  for (const { cpu, pid } of readEvents(end)) {
    onCpu.set(cpu, (onCpu.get(cpu) ?? 0) + 1);
    if (pid === options.pid) ofTask++;
  }
  return { buffer, ...told(trace, end, options, onCpu, ofTask) };
}

function holdsEvents({ cpus }: KernelBuffer): boolean {
  return cpus.some(({ statistics }) => (statistics?.entries ?? 0) > 0);
}

/** The second look: only at those whose place is known to be near the end. */
function told(
  trace: KernelTrace,
  end: TraceBuffer,
  options: LastMomentsOptions,
  onCpu: Map<number, number>,
  ofTask: number,
): Pick<LastMoments, 'last' | 'ofTask'> {
  const stream = readEvents(end);
  const text = new TraceText(trace, end, stream);
  const turn = (event: TraceEvent): LastEvent => ({
    cpu: event.cpu,
    time: stream.base + BigInt(Math.trunc(event.time)),
    pid: event.pid,
    comm: commOf(trace, event.pid),
    text: text
      .body(event)
      .trim()
      .replace(/\s*\n\s*/g, ' '),
  });
  const last: LastEvent[] = [];
  const task: LastEvent[] = [];
  for (const event of stream) {
    const left = (onCpu.get(event.cpu) ?? 0) - 1;
    onCpu.set(event.cpu, left);
    const own = event.pid === options.pid;
    if (own) ofTask--;
    const isLast = left < options.perCpu;
    const isTask = own && ofTask < options.ofTask;
    if (!isLast && !isTask) continue;
    const one = turn(event);
    if (isLast) last.push(one);
    if (isTask) task.push(one);
  }
  return { last, ofTask: task };
}
