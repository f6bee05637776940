import { isAbsence } from './absence.js';
import { cpuReports } from './cpus.js';
import { crashOf } from './crash.js';
import { fileReport } from './file.js';
import { headlineOf } from './headline.js';
import { logOf, logTail } from './log.js';
import { machineReport } from './machine.js';
import type { Absence } from './schema/common.js';
import type { CrashReport, IdentityReport, Report } from './schema/report.js';
import type { Subject } from './subject.js';
import { damageOf, evidenceOf, hexOrNull, kernelSummaries } from './words.js';

export interface ReportOptions {
  /** Sizes of the files together. */
  readonly bytes: number;
  /** How many lines of the log's end to show. */
  readonly logLines: number;
}

/**
 * Everything that matters about a dump. A section that cannot be had says why; it never fails the report.
 * Every rendering (text, JSON) shows this object and computes nothing.
 */
export function buildReport(subject: Subject, options: ReportOptions): Report {
  const { machine } = subject;
  const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
  const log = logOf(subject);
  const crash = kernel === undefined ? undefined : crashOf(kernel, log);
  const sections = {
    machine: isAbsence(machine) ? machine : machineReport(machine),
    kernel: isAbsence(subject.kernel) ? subject.kernel : identityReport(subject.kernel),
    crash: crash?.report ?? (subject.kernel as Absence),
    cpus: isAbsence(machine) ? machine : cpuReports(subject, machine, diedOn(subject, crash?.report)),
    log: isAbsence(log) ? log : logTail(log, options.logLines, crash?.isTold ?? (() => false)),
  };
  // Last, since reading may find more of it.
  const file = fileReport(subject, options.bytes);
  const damage = damageOf(subject, isAbsence(log) ? [] : log.damage);
  const complete = damage.length === 0 && !file.incomplete && !Object.values(sections).some(isAbsence);
  return {
    schema: 'exhume-report/1',
    complete,
    headline: headlineOf({ file, ...sections }),
    file,
    ...sections,
    kernels: kernelSummaries(subject),
    evidence: evidenceOf(subject),
    damage,
  };
}

/** A kernel that was dumped alive may have oopsed or been stuck; it did not die there. */
function diedOn({ kernel }: Subject, crash: CrashReport | undefined): number | undefined {
  return isAbsence(kernel) || kernel.role !== 'crashed' ? undefined : (crash?.cpu ?? undefined);
}

function identityReport(kernel: Exclude<Subject['kernel'], { absent: string }>): IdentityReport {
  return {
    index: kernel.index,
    role: kernel.role,
    release: kernel.release ?? null,
    banner: kernel.banner ?? null,
    buildId: kernel.buildId ?? null,
    hostName: kernel.hostName ?? null,
    commandLine: kernel.commandLine ?? null,
    physBase: hexOrNull(kernel.physBase),
    kaslrOffset: hexOrNull(kernel.kaslrOffset),
    directMap: hexOrNull(kernel.directMap),
    pageTable: hexOrNull(kernel.pageTable.root),
    pageTableLevels: kernel.pageTable.levels,
    symbols: kernel.symbols.size,
  };
}
