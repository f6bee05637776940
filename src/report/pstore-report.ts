import { ExhumeError } from '../bytes/errors.js';
import type { KernelLog } from '../kernel/log/record.js';
import { type Dump, joinDumps } from '../pstore/dumps.js';
import { identityOf, logOfDump } from '../pstore/log.js';
import type { PstoreRecord } from '../pstore/record.js';
import { isAbsence } from './absence.js';
import { causeReport, signatureReport, type Witnesses } from './cause.js';
import { type Crash, crashOf, instant, type Mortal } from './crash.js';
import { headlineOf } from './headline.js';
import { logSection, type ReportOptions } from './report.js';
import type { Absence, FileReport, KernelSummary } from './schema/common.js';
import type { SignatureDocument } from './schema/diagnosis.js';
import type { IdentityReport, Report } from './schema/report.js';
import { damageReport, hexOrNull } from './words.js';

/** A dump of the log in pstore, for the answers that a memory dump gets. */
interface PstoreSubject {
  readonly dumps: readonly Dump[];
  readonly index: number;
  readonly dump: Dump;
  readonly log: KernelLog;
  readonly kernel: Mortal;
  readonly crash: Crash;
}

/** Where a section needs the memory. */
const NO_MEMORY: Absence = {
  absent: 'pstore records hold the end of the log, not the memory',
  code: null,
  hint: null,
};

/**
 * Everything that records tell of a kernel's end: what its log tells.
 * @param index which dump, in the order in which they were written; by default the last panic, or the last of all.
 * Throws EXH_USAGE where there is none of that number, EXH_NO_KERNEL where no record is a part of a log.
 */
export function buildPstoreReport(
  records: readonly PstoreRecord[],
  options: Omit<ReportOptions, 'bytes'>,
  index?: number,
): Report {
  const subject = openRecords(records, index);
  const { dump, dumps, log, crash } = subject;
  const kernel = identityReport(subject);
  const file = fileReport(dump);
  const witnesses = witnessesOf(subject);
  const signature = signatureReport(witnesses, undefined);
  const damage = dump.damage.map(damageReport);
  return {
    schema: 'exhume-report/1',
    complete: damage.length === 0,
    headline: headlineOf({ file, machine: NO_MEMORY, kernel, crash: crash.report }),
    file,
    machine: NO_MEMORY,
    kernel,
    crash: crash.report,
    cause: causeReport(witnesses, isAbsence(signature) ? undefined : signature),
    signature,
    stacks: NO_MEMORY,
    blocked: NO_MEMORY,
    trace: NO_MEMORY,
    tasks: NO_MEMORY,
    memory: NO_MEMORY,
    modules: NO_MEMORY,
    guests: [],
    cpus: NO_MEMORY,
    log: logSection(log, { ...options, bytes: file.bytes }, crash),
    kernels: dumps.map((each, at) => summary(each, at, subject.index)),
    evidence: [],
    damage,
  };
}

/** What the end that records tell of is known by. Throws as {@link buildPstoreReport}. */
export function buildPstoreSignature(records: readonly PstoreRecord[], index?: number): SignatureDocument {
  const subject = openRecords(records, index);
  const signature = signatureReport(witnessesOf(subject), undefined);
  const damage = subject.dump.damage.map(damageReport);
  const complete = damage.length === 0 && !isAbsence(signature);
  return { schema: 'exhume-signature/1', complete, signature, damage };
}

function openRecords(records: readonly PstoreRecord[], chosen: number | undefined): PstoreSubject {
  const dumps = joinDumps(records);
  const index = chosen ?? lastOf(dumps);
  const dump = dumps[index];
  if (dump === undefined) {
    if (dumps.length === 0) throw new ExhumeError('EXH_NO_KERNEL', 'none of the records is a part of a kernel log');
    const message = `there is no dump ${index} among these records: they hold ${dumps.length}, counted from 0`;
    throw new ExhumeError('EXH_USAGE', message, { found: index, expected: dumps.length });
  }
  const log = logOfDump(dump);
  const kernel: Mortal = {
    role: roleOf(dump),
    uptime: undefined,
    panicCpu: undefined,
    crashTime: undefined,
    stoppedTime: undefined,
  };
  const crash = crashOf(kernel, log);
  const written = dump.guest === undefined ? undefined : dump.parts.at(-1)?.time?.seconds;
  const time = written === undefined ? null : instant(written, 'record');
  return { dumps, index, dump, log, kernel, crash: { ...crash, report: { ...crash.report, time } } };
}

function lastOf(dumps: readonly Dump[]): number {
  const panic = dumps.map(roleOf).lastIndexOf('crashed');
  return panic >= 0 ? panic : Math.max(0, dumps.length - 1);
}

/** After an oops a kernel may go on. */
function roleOf({ reason }: Dump): KernelSummary['role'] {
  return reason === 'Panic' ? 'crashed' : 'running';
}

function witnessesOf({ kernel, crash }: PstoreSubject): Witnesses {
  return {
    kernel,
    machine: undefined,
    log: crash.text,
    stack: undefined,
    cpu: crash.report.cpu ?? undefined,
    stuck: undefined,
    hang: undefined,
    blocked: undefined,
    memory: undefined,
  };
}

function identityReport({ index, kernel, log, crash }: PstoreSubject): IdentityReport {
  const { banner, release, commandLine } = identityOf(log);
  return {
    index,
    role: kernel.role,
    release: release ?? null,
    banner: banner ?? null,
    buildId: null,
    hostName: null,
    commandLine: commandLine ?? null,
    physBase: null,
    kaslrOffset: hexOrNull(crash.text?.kernelOffset),
    directMap: null,
    pageTable: null,
    pageTableLevels: null,
    symbols: 0,
  };
}

function fileReport({ reason, count, parts, missing }: Dump): FileReport {
  return {
    names: parts.map(({ file }) => file),
    bytes: parts.reduce((sum, { size }) => sum + size, 0),
    format: 'pstore',
    description: `pstore records of ${reason}#${count}`,
    flattened: false,
    live: false,
    writer: 'kernel',
    wordBits: null,
    littleEndian: null,
    process: null,
    incomplete: missing.length > 0,
  };
}

function summary(dump: Dump, index: number, chosen: number): KernelSummary {
  const { release } = identityOf(logOfDump(dump));
  return { index, role: roleOf(dump), release: release ?? null, buildId: null, chosen: index === chosen };
}
