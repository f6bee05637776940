import type { Kernel } from '../kernel/kernel.js';
import { type CrashEvent, type CrashText, findCrash } from '../kernel/log/crash-text.js';
import type { KernelLog } from '../kernel/log/record.js';
import { isAbsence } from './absence.js';
import type { Absence } from './schema/common.js';
import type { CrashEventReport, CrashReport } from './schema/report.js';

/** Why a kernel died, with which of the log's records say so. */
export interface Crash {
  readonly report: CrashReport;
  /** What the log tells of it; undefined where there is no log. */
  readonly text: CrashText | undefined;
  /** Records that are in `report.text` already. */
  readonly isTold: (index: number) => boolean;
}

/** What a kernel itself says of its end. */
export type Mortal = Pick<Kernel, 'role' | 'uptime' | 'panicCpu' | 'crashTime' | 'stoppedTime'>;

/** Why the kernel died, out of its log and its own variables. */
export function crashOf(kernel: Mortal, log: KernelLog | Absence): Crash {
  if (isAbsence(log)) return { report: withoutLog(kernel, log), text: undefined, isTold: () => false };
  const found = findCrash(log);
  const told = toldRecords(log, found);
  return { report: crashReport(kernel, found), text: found, isTold: (index) => told.has(index) };
}

function crashReport(kernel: Mortal, found: CrashText): CrashReport {
  const { cause, panic } = found;
  const seconds = secondsOf(panic ?? cause);
  return {
    kind: cause?.kind ?? (kernel.role === 'crashed' ? 'panic' : 'none'),
    reason: cause?.title ?? reasonWithoutEvent(kernel),
    panicMessage: found.panicMessage ?? null,
    where: cause?.rip ?? null,
    time: timeOf(kernel, seconds),
    uptime: seconds ?? kernel.uptime ?? null,
    cpu: found.cpu ?? kernel.panicCpu ?? null,
    pid: found.pid ?? null,
    comm: found.comm ?? null,
    tainted: found.tainted ?? null,
    hardware: panic?.hardware ?? cause?.hardware ?? null,
    workqueue: cause?.workqueue ?? null,
    trace: (cause?.trace ?? []).map(({ symbol, module, reliable, stack }) => ({
      symbol,
      module: module ?? null,
      reliable,
      stack: stack ?? null,
    })),
    events: found.events.map(eventReport),
    text: [...found.text],
  };
}

function withoutLog(kernel: Mortal, { absent }: Absence): CrashReport {
  const nothing: CrashText = {
    cause: undefined,
    panic: undefined,
    panicMessage: undefined,
    events: [],
    cpu: undefined,
    pid: undefined,
    comm: undefined,
    tainted: undefined,
    kernelOffset: undefined,
    text: [],
  };
  const report = crashReport(kernel, nothing);
  if (kernel.role === 'crashed') return { ...report, reason: `${report.reason}; the log could not be read: ${absent}` };
  return { ...report, kind: 'unknown', reason: `its log could not be read: ${absent}` };
}

function reasonWithoutEvent({ role, crashTime, panicCpu }: Mortal): string {
  if (role !== 'crashed') return 'nothing in it says that it crashed';
  if (panicCpu !== undefined) return `it panicked on CPU ${panicCpu} (panic_cpu), and its log does not say why`;
  return crashTime === undefined
    ? 'a capture kernel was started for it, and its log does not say why'
    : 'it panicked (VMCOREINFO has CRASHTIME), and its log does not say why';
}

function eventReport(event: CrashEvent): CrashEventReport {
  return {
    kind: event.kind,
    weight: event.weight,
    title: event.title,
    message: event.message,
    time: secondsOf(event) ?? null,
    cpu: event.cpu ?? null,
    pid: event.pid ?? null,
    comm: event.comm ?? null,
  };
}

function secondsOf(event: CrashEvent | undefined): number | undefined {
  return event?.timeNanoseconds === undefined ? undefined : Number(event.timeNanoseconds) / 1e9;
}

/** The records whose lines are in the crash text: those between an event's first and last that are among its lines. */
function toldRecords({ records }: KernelLog, { cause, panic }: CrashText): ReadonlySet<number> {
  const told = new Set<number>();
  for (const event of [cause, panic]) {
    if (event === undefined) continue;
    const lines = new Set(event.lines);
    for (let index = event.from; index <= event.to; index++) {
      const text = records[index]?.text ?? '';
      if (text.split('\n').every((line) => lines.has(line))) told.add(index);
    }
  }
  return told;
}

/**
 * When it died: VMCOREINFO's CRASHTIME; else the clock at boot and the time of the message;
 * for a kernel that did not die, the clock when it stopped.
 */
function timeOf(kernel: Mortal, seconds: number | undefined): CrashReport['time'] {
  const { crashTime, stoppedTime, uptime } = kernel;
  if (crashTime !== undefined) return instant(crashTime, 'CRASHTIME');
  if (stoppedTime === undefined) return null;
  if (seconds === undefined || uptime === undefined) return instant(stoppedTime, 'timekeeper');
  return instant(Math.floor(stoppedTime - uptime + seconds), 'log');
}

export function instant(epoch: number, source: string): CrashReport['time'] {
  const date = new Date(epoch * 1000);
  if (Number.isNaN(date.getTime())) return null;
  return { epoch, iso: date.toISOString().replace('.000Z', 'Z'), source };
}
