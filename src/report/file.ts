import type { CoredProcess } from '../dump/container.js';
import { isAbsence } from './absence.js';
import type { FileReport, ProcessReport } from './schema/common.js';
import type { Subject } from './subject.js';

/** Call it last: that a file is cut off may show only when a page behind its end is asked for. */
export function fileReport({ container, machine }: Subject, bytes: number): FileReport {
  return {
    names: [...container.files],
    bytes,
    format: container.format,
    description: container.description,
    flattened: container.flattened,
    live: container.live ?? false,
    writer: isAbsence(machine) ? 'unknown' : machine.creator,
    wordBits: container.wordBits,
    littleEndian: container.littleEndian,
    incomplete: container.incomplete || container.damage.some(({ code }) => code === 'EXH_TRUNCATED'),
    process: container.process === undefined ? null : processReport(container.process),
  };
}

function processReport({ death, stale, ...process }: CoredProcess): ProcessReport {
  return {
    ...process,
    commandLine: [...process.commandLine],
    stale: stale ?? null,
    death: death === undefined ? null : { ...death, messages: [...death.messages] },
  };
}
