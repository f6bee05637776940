import { hex, hexBytes } from '../bytes/address.js';
import type { Note } from '../dump/container.js';
import { parseVmcoreinfo } from '../kernel/vmcoreinfo.js';
import { isAbsence } from './absence.js';
import { cpuReports } from './cpus.js';
import { fileReport } from './file.js';
import { machineReport } from './machine.js';
import type { InfoReport } from './schema/info.js';
import type { Subject } from './subject.js';
import { damageOf, evidenceOf, kernelSummaries, plainValue } from './words.js';

export interface InfoOptions {
  /** Sizes of the files together. */
  readonly bytes: number;
  /** Field by field as well. */
  readonly raw?: boolean | undefined;
}

/** What the file is: its header, its notes, its CPUs, and how the kernel in it was found. */
export function buildInfo(subject: Subject, options: InfoOptions): InfoReport {
  const { container, machine, kernel } = subject;
  const found = isAbsence(kernel) ? undefined : kernel;
  const cpus: InfoReport['cpus'] = isAbsence(machine) ? machine : cpuReports(subject, machine, found?.panicCpu);
  const structures = [...container.structures, ...(isAbsence(machine) ? [] : machine.structures)];
  const answer: Omit<InfoReport, 'schema' | 'complete' | 'file' | 'damage'> = {
    header: container.facts.map(({ name, value, note }) => ({
      name,
      value: plainValue(value) as string | number,
      note: note ?? null,
    })),
    notes: container.notes.map((note) => ({
      name: note.name,
      type: note.type,
      bytes: note.description.length,
      offset: note.offset,
      meaning: meaningOf(note),
    })),
    memory: container.memory
      .ranges()
      .map(({ start, end }) => ({ start: hex(start), end: hex(end), bytes: end - start })),
    machine: isAbsence(machine) ? machine : machineReport(machine),
    cpus,
    vmcoreinfo: vmcoreinfoOf(subject),
    kernels: kernelSummaries(subject),
    evidence: evidenceOf(subject),
    structures: options.raw
      ? structures.map(({ name, offset, size, fields }) => ({
          name,
          offset,
          bytes: size,
          fields: fields.map((field) => ({
            name: field.name,
            type: field.type,
            offset: field.offset,
            bytes: field.size,
            hex: hexBytes(field.bytes),
            value: plainValue(field.value),
          })),
        }))
      : null,
  };
  // Last, since reading may find more of it.
  const file = fileReport(subject, options.bytes);
  const damage = damageOf(subject);
  const complete = damage.length === 0 && !file.incomplete && !isAbsence(machine) && found !== undefined;
  return { schema: 'exhume-info/1', complete, file, ...answer, damage };
}

function vmcoreinfoOf({ container, kernel }: Subject): InfoReport['vmcoreinfo'] {
  const own = isAbsence(kernel) ? undefined : kernel.vmcoreinfo;
  const vmcoreinfo = own ?? (container.vmcoreinfo && parseVmcoreinfo(container.vmcoreinfo));
  if (vmcoreinfo === undefined) {
    return {
      absent: 'neither the file nor its memory holds a VMCOREINFO',
      code: null,
      hint: 'for QEMU guests: add `-device vmcoreinfo` and load qemu_fw_cfg in the guest',
    };
  }
  return [...vmcoreinfo.lines].map(([key, value]) => ({ key, value }));
}

/** elf.h's names, and those who make up their own. */
const MEANINGS: Readonly<Record<string, string>> = {
  'CORE 1': 'NT_PRSTATUS: general registers of a CPU',
  'CORE 3': 'NT_PRPSINFO: the program',
  'CORE 4': 'NT_TASKSTRUCT: the reader of /proc/kcore',
  'QEMU 0': 'QEMU CPU state: registers, segments, control registers',
  'VMCOREINFO 0': "the kernel's word on where things are",
};

function meaningOf({ name, type }: Note): string | null {
  return MEANINGS[`${name} ${type}`] ?? null;
}
