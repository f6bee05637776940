import { ExhumeError } from '../bytes/errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { formatLog, type LogFormatOptions, parseLevels, selectRecords } from '../kernel/log/format.js';
import { readKernelLog } from '../kernel/log/read.js';
import { callerName, type KernelLog, type LogRecord } from '../kernel/log/record.js';
import { absence, isAbsence } from './absence.js';
import type { Absence } from './schema/common.js';
import type { LogRecordReport, LogReport } from './schema/log.js';
import type { Report } from './schema/report.js';
import { requireKernel, type Subject } from './subject.js';
import { damageOf } from './words.js';

export interface LogOptions {
  readonly level?: string | undefined;
  readonly tail?: number | undefined;
}

/** The answer of `log`: the model, and the same records as the kernel kept them, for dmesg's formats. */
export interface LogAnswer {
  readonly model: LogReport;
  /** Lines in dmesg's formats. Throws EXH_USAGE for wall-clock times without a clock. */
  readonly format: (options: LogFormatOptions) => Iterable<string>;
}

/** The kernel log or a part of it. Throws EXH_USAGE for levels that do not exist, and whatever keeps the log from being read. */
export function buildLog(subject: Subject, options: LogOptions = {}): LogAnswer {
  const levels = options.level === undefined ? undefined : parseLevels(options.level);
  const kernel = requireKernel(subject);
  const log = readKernelLog(kernel);
  const records = selectRecords(log, { levels, tail: options.tail });
  const damage = damageOf(subject, log.damage);
  const between = log.lost.gaps.reduce((sum, gap) => sum + gap.count, 0);
  const model: LogReport = {
    schema: 'exhume-log/1',
    complete: damage.length === 0,
    log: {
      format: log.format,
      source: log.source,
      total: log.records.length,
      lost: { atStart: log.lost.atStart ?? null, between },
      records: records.map(recordReport),
      pending: log.pending.map((record) => ({ ...recordReport(record), after: record.after })),
    },
    damage,
  };
  const bootTime = bootTimeOf(kernel);
  return {
    model,
    format: (format) => formatLog(log, bootTime === undefined ? format : { bootTime, ...format }, records),
  };
}

/** The log of the chosen kernel, or why there is none. */
export function logOf({ kernel }: Subject): KernelLog | Absence {
  if (isAbsence(kernel)) return kernel;
  try {
    return readKernelLog(kernel);
  } catch (error) {
    if (error instanceof ExhumeError) return absence(error);
    throw error;
  }
}

/** Seconds since 1970 at boot: what the clock showed when the kernel stopped, less how long it had run. */
export function bootTimeOf({ stoppedTime, uptime }: Pick<Kernel, 'stoppedTime' | 'uptime'>): number | undefined {
  return stoppedTime === undefined || uptime === undefined ? undefined : stoppedTime - uptime;
}

function recordReport(record: LogRecord): LogRecordReport {
  return {
    sequence: record.sequence ?? null,
    time: record.timeNanoseconds === undefined ? null : Number(record.timeNanoseconds) / 1e9,
    level: record.level,
    facility: record.facility,
    caller: record.caller === undefined ? null : callerName(record.caller),
    text: record.text,
    newline: record.newline,
    continuation: record.continuation,
    dictionary: Object.fromEntries(record.dictionary.map(({ key, value }) => [key, value])),
  };
}

/** The end of the log as dmesg prints it, for the report, less the records that it tells elsewhere. */
export function logTail(
  log: KernelLog,
  count: number,
  isTold: (index: number) => boolean,
): Omit<Exclude<Report['log'], Absence>, 'records'> {
  const others = log.records.filter((_, index) => !isTold(index));
  const lines = [...formatLog(log, {}, others.slice(Math.max(0, others.length - count)))];
  return {
    source: log.source,
    total: log.records.length,
    told: log.records.length - others.length,
    lines: count === 0 ? [] : lines.slice(-count),
    pending: [...formatLog({ ...log, records: log.pending })],
  };
}
