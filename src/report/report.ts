import type { Frame } from '../kernel/diagnosis/frame.js';
import type { Kernel } from '../kernel/kernel.js';
import type { CrashText } from '../kernel/log/crash-text.js';
import type { KernelLog } from '../kernel/log/record.js';
import { isAbsence } from './absence.js';
import { causeReport, kindOf, signatureReport, type Witnesses } from './cause.js';
import { blockedTasks, cpuStacks, framesOfStack } from './cpu-stacks.js';
import { cpuReports } from './cpus.js';
import { type Crash, crashOf } from './crash.js';
import { fileReport } from './file.js';
import { guestLine, guestsAtHand } from './guests.js';
import { hangOf } from './hang.js';
import { headlineOf } from './headline.js';
import { Inside } from './inside.js';
import { lastMomentsReport } from './last-moments.js';
import { logOf, logTail } from './log.js';
import { logRecords } from './log-records.js';
import { machineReport } from './machine.js';
import type { Absence } from './schema/common.js';
import type { CpuStackReport, SignatureDocument } from './schema/diagnosis.js';
import type { CrashReport, IdentityReport, Report } from './schema/report.js';
import type { Subject } from './subject.js';
import { memoryReport, modulesReport, tasksReport } from './surroundings.js';
import { damageOf, evidenceOf, hexOrNull, kernelSummaries } from './words.js';

export interface ReportOptions {
  /** Sizes of the files together. */
  readonly bytes: number;
  /** How many lines of the log's end to show. */
  readonly logLines: number;
  /** All records of the log with their levels, for a page that searches them; by default those of the lines shown. */
  readonly wholeLog?: boolean;
}

/**
 * Everything that matters about a dump. A section that cannot be had says why; it never fails the report.
 * Every rendering (text, JSON, HTML) shows this object and computes nothing.
 */
export function buildReport(subject: Subject, options: ReportOptions): Report {
  const { machine } = subject;
  const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
  const log = logOf(subject);
  const crash = kernel === undefined ? undefined : crashOf(kernel, log);
  const died = kernel === undefined || crash === undefined ? undefined : diedOn(kernel, crash.report);
  const inside = kernel === undefined ? undefined : new Inside(kernel);
  const sections = {
    machine: isAbsence(machine) ? machine : machineReport(machine),
    kernel: isAbsence(subject.kernel) ? subject.kernel : identityReport(subject.kernel),
    crash: crash?.report ?? (subject.kernel as Absence),
    ...insideSections(subject, inside, crash, died),
    cpus: isAbsence(machine) ? machine : cpuReports(subject, machine, died),
    log: isAbsence(log) ? log : logSection(log, options, crash),
  };
  const guests = guestsAtHand(subject);
  // Last, since reading may find more of it.
  const file = fileReport(subject, options.bytes);
  const found = [...(isAbsence(log) ? [] : log.damage), ...(inside?.damage ?? []), ...guests.damage];
  const damage = damageOf(subject, found);
  const complete = damage.length === 0 && !file.incomplete && !Object.entries(sections).some(isMissing);
  return {
    schema: 'exhume-report/1',
    complete,
    headline: headlineOf({ file, ...sections }),
    file,
    ...sections,
    guests: guests.guests.map(guestLine),
    kernels: kernelSummaries(subject),
    evidence: evidenceOf(subject),
    damage,
  };
}

/** A kernel that did not die has no signature: nothing is missing then. */
function isMissing([name, section]: readonly [string, unknown]): boolean {
  return isAbsence(section) && !(name === 'signature' && section.code === null);
}

/** The signature alone: the kernel's stacks are only walked where its log has no call trace. */
export function buildSignature(subject: Subject): SignatureDocument {
  const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
  const log = logOf(subject);
  const damage = damageOf(subject, isAbsence(log) ? [] : log.damage);
  const signature = kernel === undefined ? (subject.kernel as Absence) : signatureOfKernel(kernel, log);
  const complete = damage.length === 0 && !isAbsence(signature);
  return { schema: 'exhume-signature/1', complete, signature, damage };
}

function signatureOfKernel(kernel: Kernel, log: KernelLog | Absence): SignatureDocument['signature'] {
  const crash = crashOf(kernel, log);
  const traced = (crash.text?.cause?.trace.length ?? 0) > 0;
  const died = diedOn(kernel, crash.report);
  const inside = new Inside(kernel);
  const found = { kernel, log: crash.text, stack: traced ? undefined : stackWhere(cpuStacks(inside, died)) };
  const hang = kindOf(found) === 'hung-task' ? hangOf(inside, crash.text) : undefined;
  return signatureReport({ ...found, hang }, isAbsence(log) ? log : undefined);
}

type InsideSections = Pick<
  Report,
  'cause' | 'signature' | 'stacks' | 'blocked' | 'tasks' | 'memory' | 'modules' | 'trace'
>;

function insideSections(
  subject: Subject,
  inside: Inside | undefined,
  crash: Crash | undefined,
  died: number | undefined,
): InsideSections {
  if (inside === undefined) {
    const none = subject.kernel as Absence;
    return {
      cause: none,
      signature: none,
      stacks: none,
      blocked: none,
      tasks: none,
      memory: none,
      modules: none,
      trace: none,
    };
  }
  const log = crash?.text;
  const stacks = cpuStacks(inside, died);
  const stack = stackWhere(stacks);
  const blocked = blockedTasks(inside);
  const memory = memoryReport(inside, log?.cause?.kind === 'out-of-memory');
  const witnesses: Witnesses = {
    kernel: inside.kernel,
    machine: isAbsence(subject.machine) ? undefined : subject.machine,
    log,
    stack,
    cpu: died,
    stuck: stuckOn(stacks, log),
    hang: kindOf({ kernel: inside.kernel, log, stack }) === 'hung-task' ? hangOf(inside, log) : undefined,
    blocked: isAbsence(blocked) ? undefined : blocked,
    memory: isAbsence(memory) ? undefined : memory,
  };
  const signature = signatureReport(witnesses, undefined);
  return {
    cause: causeReport(witnesses, isAbsence(signature) ? undefined : signature),
    signature,
    stacks,
    blocked,
    tasks: tasksReport(inside),
    memory,
    modules: modulesReport(inside, modulesOn(stack, log)),
    trace: lastMomentsReport(inside, crash?.report.pid ?? null),
  };
}

/** The functions on the stack of the CPU that died. */
function stackWhere(stacks: CpuStackReport[] | Absence): readonly Frame[] | undefined {
  if (isAbsence(stacks)) return undefined;
  const stack = stacks.find(({ crashed }) => crashed)?.stack;
  return stack === undefined || isAbsence(stack) ? undefined : framesOfStack(stack);
}

/** The CPU that a kernel which lives was stuck on by its log. */
function stuckOn(stacks: CpuStackReport[] | Absence, log: CrashText | undefined): Witnesses['stuck'] {
  if (isAbsence(stacks) || stacks.some(({ crashed }) => crashed) || log?.cause?.weight !== 'stuck') return undefined;
  const found = stacks.find(({ cpu }) => cpu === log.cause?.cpu);
  return found === undefined || isAbsence(found.stack)
    ? undefined
    : { cpu: found.cpu, stack: framesOfStack(found.stack) };
}

function modulesOn(stack: readonly Frame[] | undefined, log: CrashText | undefined): ReadonlySet<string> {
  const frames = [...(stack ?? []), ...(log?.cause?.trace ?? []), { module: log?.cause?.module }];
  return new Set(frames.flatMap(({ module }) => module ?? []));
}

export function logSection(
  log: KernelLog,
  { logLines, wholeLog }: ReportOptions,
  crash: Crash | undefined,
): Report['log'] {
  const isTold = crash?.isTold ?? (() => false);
  const shown = wholeLog ? log.records : log.records.filter((_, index) => !isTold(index)).slice(-logLines);
  const records = logRecords(wholeLog || logLines > 0 ? shown : []);
  return { ...logTail(log, logLines, isTold), records };
}

/** A kernel that was dumped alive may have oopsed or been stuck; it did not die there. */
function diedOn({ role }: Kernel, crash: CrashReport): number | undefined {
  return role === 'crashed' ? (crash.cpu ?? undefined) : undefined;
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
