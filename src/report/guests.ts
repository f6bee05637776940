import { hex } from '../bytes/address.js';
import { type Damage, isExhumeError } from '../bytes/errors.js';
import { findGuests, type GuestSearch, type Host, QUICK_FINDERS } from '../hypervisor/find.js';
import type { Guest, GuestCpu, GuestProcess } from '../hypervisor/guest.js';
import type { Kernel } from '../kernel/kernel.js';
import { absence, isAbsence } from './absence.js';
import type { Absence } from './schema/common.js';
import type { GuestCpuReport, GuestLine, GuestReport, GuestsReport } from './schema/guests.js';
import { openSubject, type Subject } from './subject.js';
import { damageOf, evidenceReport, hexOrNull, kernelSummaries, symbolOf } from './words.js';

export interface GuestsOptions {
  /** Look at every page, which takes its time. */
  readonly pages?: boolean | undefined;
}

/** The guests in what a command looks at, by all means. */
export function guestsOf(subject: Subject): GuestSearch {
  return findGuests(hostOf(subject));
}

/** The same, without a search through all of the memory. */
export function guestsAtHand(subject: Subject): GuestSearch {
  return findGuests(hostOf(subject), QUICK_FINDERS);
}

/** What guests are looked for in. */
export function hostOf({ container, machine, kernel }: Subject): Host {
  return {
    container,
    machine: isAbsence(machine) ? undefined : machine,
    kernel: isAbsence(kernel) ? undefined : kernel,
  };
}

/** The machines inside a machine: who ran them, what they run, where their CPUs were. */
export function buildGuests(subject: Subject, { pages }: GuestsOptions = {}): GuestsReport {
  const search = guestsOf(subject);
  const found: Damage[] = [...search.damage];
  const guests = search.guests.map((guest) => guestReport(guest, pages ?? false, found));
  const damage = damageOf(subject, found);
  return {
    schema: 'exhume-guests/1',
    complete: damage.length === 0 && guests.every(({ refused, kernel }) => refused === null && !isAbsence(kernel)),
    guests,
    evidence: search.evidence.map(evidenceReport),
    damage,
  };
}

/** A guest in one line, for the report of its host. */
export function guestLine({ index, name, process, cpus, memory, refused }: Guest): GuestLine {
  return {
    index,
    name,
    pid: process?.pid ?? null,
    cpus: cpus.length,
    memoryBytes: memory.describedBytes(),
    refused: refused?.reason ?? null,
  };
}

function guestReport(guest: Guest, pages: boolean, found: Damage[]): GuestReport {
  const { index, name, how, process, cpus, memory, refused, evidence, damage } = guest;
  found.push(...[...damage, ...cpus.flatMap((cpu) => cpu.damage)].map((one) => ofGuest(one, name)));
  const kernel = kernelOf(guest);
  return {
    index,
    name,
    how,
    process: process === undefined ? null : processReport(process),
    memoryBytes: memory.describedBytes(),
    cpus: cpus.map((cpu) => cpuReport(cpu, isAbsence(kernel) ? undefined : kernel.kernel)),
    kernel: isAbsence(kernel) ? kernel : kernel.summary,
    pages: pages && refused === undefined ? pagesReport(guest) : null,
    refused: refused === undefined ? null : { absent: refused.reason, code: refused.code, hint: refused.hint ?? null },
    evidence: evidence.map(evidenceReport),
  };
}

function ofGuest({ code, part, message }: Damage, name: string): Damage {
  return { code, part: `guest ${name}: ${part}`, message };
}

/** The kernel that the guest runs, or why it is not known. */
function kernelOf(guest: Guest): { readonly kernel: Kernel; readonly summary: GuestKernel } | Absence {
  try {
    const inner = openSubject(guest.container());
    const summary = kernelSummaries(inner).find(({ chosen }) => chosen);
    if (isAbsence(inner.kernel) || summary === undefined) {
      return isAbsence(inner.kernel)
        ? inner.kernel
        : { absent: 'no kernel was found', code: 'EXH_NO_KERNEL', hint: null };
    }
    return { kernel: inner.kernel, summary };
  } catch (error) {
    if (!isExhumeError(error)) throw error;
    return absence(error);
  }
}

type GuestKernel = ReturnType<typeof kernelSummaries>[number];

function processReport({ pid, comm, commandLine, name, uuid }: GuestProcess): GuestReport['process'] {
  return { pid, comm, commandLine: [...commandLine], name: name ?? null, uuid: uuid ?? null };
}

function cpuReport(
  { index, state, registers, source, stale, nested }: GuestCpu,
  kernel: Kernel | undefined,
): GuestCpuReport {
  const rip = registers?.general.get('rip');
  return {
    index,
    state,
    rip: hexOrNull(rip),
    symbol: rip === undefined ? null : symbolOf(kernel, rip),
    source,
    stale: stale ?? null,
    nested: nested === undefined ? null : hex(nested.general.get('rip') ?? 0n),
  };
}

function pagesReport({ survey }: Guest): GuestReport['pages'] {
  const found = survey?.();
  return found === undefined ? null : { ...found, nested: found.nested ?? null };
}
