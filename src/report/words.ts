import { hex, hexBytes } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import type { FieldValue } from '../bytes/struct-table.js';
import type { Evidence, Kernel } from '../kernel/kernel.js';
import { symbolize } from '../kernel/symbols.js';
import { isAbsence } from './absence.js';
import type { DamageReport, EvidenceReport, KernelSummary } from './schema/common.js';
import type { Subject } from './subject.js';

/** "0x…", or null for what is not known. */
export function hexOrNull(value: number | bigint | undefined): string | null {
  return value === undefined ? null : hex(value);
}

/** A value as JSON can hold it: 64-bit words as "0x…", bytes as hexadecimal digits. */
export function plainValue(value: FieldValue): string | number | (string | number)[] {
  if (value instanceof Uint8Array) return hexBytes(value);
  if (typeof value === 'object') return value.map((one) => plainValue(one) as string | number);
  // Infinity is how a size that no file can have is read.
  return typeof value === 'bigint' || value === Number.POSITIVE_INFINITY ? hexOfField(value) : value;
}

function hexOfField(value: number | bigint): string {
  return typeof value === 'bigint' ? hex(value) : '2^53 or more';
}

export function damageReport({ code, part, message }: Damage): DamageReport {
  return { code, part, message };
}

export function evidenceReport({ question, method, answer, accepted, detail }: Evidence): EvidenceReport {
  return { question, method, answer: answer ?? null, accepted, detail: detail ?? null };
}

/** Everything that was found broken on the way to the chosen kernel, each thing once. */
export function damageOf(subject: Subject, more: readonly Damage[] = []): DamageReport[] {
  const all = [
    ...subject.container.damage,
    ...(isAbsence(subject.machine) ? [] : subject.machine.damage),
    ...(isAbsence(subject.kernel) ? [] : subject.kernel.damage),
    ...more,
  ];
  const once = new Map(all.map((damage) => [`${damage.part}\n${damage.message}`, damageReport(damage)]));
  return [...once.values()];
}

/** How the machine, the kernels and the chosen kernel's facts were found. */
export function evidenceOf({ machine, kernel, search }: Subject): EvidenceReport[] {
  const architecture = isAbsence(machine)
    ? []
    : machine.architectureEvidence.map((item) => ({
        question: 'architecture',
        method: item.method,
        answer: item.answer,
        accepted: item.answer === machine.architecture,
        detail: null,
      }));
  const found = [...search.evidence, ...(isAbsence(kernel) ? [] : kernel.evidence)].map(evidenceReport);
  const once = new Map([...architecture, ...found].map((item) => [JSON.stringify(item), item]));
  return [...once.values()];
}

export function kernelSummaries({ search, kernel }: Subject): KernelSummary[] {
  return search.kernels.map(({ index, role, release, buildId }) => ({
    index,
    role,
    release: release ?? null,
    buildId: buildId ?? null,
    chosen: !isAbsence(kernel) && kernel.index === index,
  }));
}

/** `schedule+0x12/0x90`, or null outside the kernel's image. */
export function symbolOf(kernel: Kernel | undefined, address: bigint): string | null {
  return kernel === undefined ? null : (symbolize(kernel.symbols, address) ?? null);
}
