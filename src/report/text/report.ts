import { isAbsence } from '../absence.js';
import type { Absence } from '../schema/common.js';
import type { CrashReport, Report } from '../schema/report.js';
import { cpuBlock, cpuLine } from './cpu.js';
import { blockedText, causeText, cpuStacksText, surroundingsPairs } from './diagnosis.js';
import { lastMomentsText } from './last-moments.js';
import { counted, humanBytes, humanDuration, Page, printable, type TextOptions, wrap } from './page.js';
import { damageList, evidenceBrief, fileInWords, kernelList, processText } from './parts.js';
import { shortened } from './stack.js';

/** The report for reading: the answer first, then what was going on, then how it is known. */
export function* reportText(report: Report, options: TextOptions): Generator<string> {
  const page = new Page(options);
  yield* answer(page, report);
  yield* processText(page, report.file);
  yield* causeText(page, report);
  yield* kernelList(page, report.kernels);
  yield* facts(page, report);
  // Records hold no memory: the page says so once.
  if (report.file.format !== 'pstore') {
    yield* cpuStacksText(page, report);
    yield* blockedText(page, report);
    yield* lastMomentsText(page, report);
    yield* cpus(page, report);
  }
  yield* crashText(page, report);
  yield* log(page, report);
  yield* evidenceBrief(page, report.evidence);
  yield* damageList(page, report.damage);
}

function* answer(page: Page, { headline, crash }: Report): Generator<string> {
  for (const line of wrap(printable(headline), page.width)) yield page.paint.bold(line);
  if (isAbsence(crash)) return;
  const where = whereOf(crash);
  const when = whenOf(crash);
  if (where !== '') yield* page.prose(where);
  if (when !== '') yield* page.prose(when);
}

function whereOf(crash: CrashReport): string {
  return whereParts(crash).join(', ');
}

/** On which CPU, in what, and how tainted. */
export function whereParts({ cpu, comm, pid, tainted, workqueue }: CrashReport): string[] {
  const parts = [
    cpu === null ? '' : `on CPU ${cpu}`,
    comm === null ? '' : `in ${comm}${pid === null ? '' : ` (pid ${pid})`}`,
    workqueue === null ? '' : `workqueue ${workqueue}`,
    tainted === null ? '' : tainted === '' ? 'not tainted' : `tainted ${tainted}`,
  ];
  return parts.filter((part) => part !== '');
}

/** By the calendar, and since boot. */
export function whenOf({ time, uptime }: CrashReport): string {
  const at = time === null ? '' : `${time.iso.replace('T', ' ').replace(/(\.\d+)?Z$/, '')} UTC`;
  const after = uptime === null ? '' : `${humanDuration(uptime)} after boot`;
  return [at, after].filter((part) => part !== '').join(', ');
}

function* facts(page: Page, report: Report): Generator<string> {
  const { kernel, machine, file } = report;
  yield* page.heading('Kernel');
  if (isAbsence(kernel)) yield* absent(page, kernel);
  yield* page.pairs(kernelPairs(kernel, machine));
  if (isAbsence(machine) && machine !== kernel) yield* absent(page, machine);
  yield* page.pairs([['file', `${file.names.join(', ')}: ${fileInWords(file)}`]]);
  if (!isAbsence(kernel) && file.format !== 'pstore') yield* page.pairs(surroundingsPairs(report));
}

/** Which kernel it was, and on what machine: what of it is known. */
export function kernelPairs(kernel: Report['kernel'], machine: Report['machine']): (readonly [string, string])[] {
  const ofKernel = isAbsence(kernel)
    ? []
    : [
        row('version', kernel.banner === null ? null : buildOf(kernel.banner)),
        row('build id', kernel.buildId),
        row('host name', kernel.hostName === '(none)' ? null : kernel.hostName),
        row('command line', kernel.commandLine),
        row('loaded', loadedAt(kernel)),
      ];
  const ofMachine = isAbsence(machine)
    ? []
    : [row('machine', `${machine.architecture}, ${cpusInWords(machine.cpus)}, ${memoryInWords(machine.memory)}`)];
  return [...ofKernel, ...ofMachine].filter((pair) => pair !== undefined);
}

function cpusInWords(cpus: number): string {
  return cpus === 0 ? 'CPUs not told' : counted(cpus, 'CPU');
}

/** `#1 SMP PREEMPT_DYNAMIC Debian 7.2.12-1 (2026-10-22)`: the headline has the release, `--json` the compiler. */
function buildOf(banner: string): string {
  return / (#\d.*)$/.exec(banner)?.[1] ?? banner;
}

function row(label: string, value: string | null): readonly [string, string] | undefined {
  return value === null ? undefined : [label, value];
}

function loadedAt({ kaslrOffset, physBase }: { kaslrOffset: string | null; physBase: string | null }): string | null {
  const parts = [
    kaslrOffset === null ? '' : Number(kaslrOffset) === 0 ? 'without KASLR offset' : `KASLR offset ${kaslrOffset}`,
    physBase === null ? '' : `phys_base ${physBase}`,
  ];
  return parts.filter((part) => part !== '').join(', ') || null;
}

function memoryInWords({ described, missing }: { described: number; missing: number }): string {
  const whole = `${humanBytes(described)} of memory`;
  return missing === 0 ? whole : `${whole}, ${humanBytes(missing)} of it not in the file`;
}

/** All registers of the CPU on which it died (of every CPU when there are few and none did); where the others were. */
function* cpus(page: Page, report: Report): Generator<string> {
  yield* page.heading('CPUs');
  if (isAbsence(report.cpus)) {
    yield* absent(page, report.cpus);
    return;
  }
  if (report.cpus.length === 0) yield '  the file holds no notes about its CPUs';
  const ordered = [...report.cpus].sort((a, b) => Number(b.crashed) - Number(a.crashed));
  const whole = report.cpus.some(({ crashed }) => crashed) ? 1 : 2;
  for (const [i, cpu] of ordered.entries()) {
    yield `  ${cpuLine(page, cpu)}`;
    // What another kernel did after the crash says nothing about it, nor what a guest did.
    if (i < whole && cpu.otherKernel === null && !cpu.guest) yield* cpuBlock(page, cpu, { system: false });
  }
}

function* crashText(page: Page, { crash, kernel }: Report): Generator<string> {
  if (isAbsence(crash)) {
    if (isAbsence(kernel)) return;
    yield* page.heading('Crash');
    yield* absent(page, crash);
  } else if (crash.text.length > 0) {
    yield* page.heading('What the kernel printed');
    const lines = crash.text.map((line) => `  ${MINOR.test(line) ? page.paint.dim(printable(line)) : printable(line)}`);
    yield* shortened(lines, (count) => page.paint.dim(`  … ${count} more lines; all: exhume log`));
  }
}

/** Lines that are looked at last: stale stack entries, code bytes, registers, module lists. */
const MINOR = /^\s*(?:\? |Code: |R[A-Z0-9]{1,2}: |RSP: |FS: |CS: |CR2: |DR\d: |Modules linked in: |Hardware name: )/;

function* log(page: Page, { log: section, kernel, file }: Report): Generator<string> {
  if (isAbsence(section)) {
    if (isAbsence(kernel)) return;
    yield* page.heading('Log');
    yield* absent(page, section);
    return;
  }
  const besides = section.told === 0 ? '' : ' besides those above';
  const lines = `last ${counted(section.lines.length, 'line')}${besides}, of ${counted(section.total, 'message')}; all: exhume ${file.format === 'pstore' ? 'pstore cat' : 'log'}`;
  yield* page.heading('Log', lines);
  for (const line of section.lines) yield `  ${printable(line)}`;
  for (const line of section.pending) yield page.paint.yellow(`  ${printable(line)}  (being written)`);
}

function* absent(page: Page, { absent: reason, hint }: Absence): Generator<string> {
  yield* page.prose(reason);
  if (hint !== null) yield* page.prose(hint);
}
