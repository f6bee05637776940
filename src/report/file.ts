import { isAbsence } from './absence.js';
import type { FileReport } from './schema/common.js';
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
  };
}
