import type { LogRecord } from '../kernel/log/record.js';
import type { Absence } from './schema/common.js';
import type { Report } from './schema/report.js';

/** Records as the report has them, with their levels. */
export function logRecords(records: readonly LogRecord[]): Exclude<Report['log'], Absence>['records'] {
  return records.map(({ timeNanoseconds, level, text }) => ({
    time: timeNanoseconds === undefined ? null : Number(timeNanoseconds / 1000n) / 1e6,
    level,
    text: shown(text),
  }));
}

/** Control characters, except tabs and line ends, as `\xNN`: any user can write to the log. */
function shown(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}
