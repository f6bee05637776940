import type { ExhumeError } from '../bytes/errors.js';
import type { Absence } from './schema/common.js';

/** An error as the reason why a section is missing. */
export function absence(error: ExhumeError): Absence {
  return { absent: error.message, code: error.code, hint: error.data.hint ?? null };
}

/** Is it the reason for a missing section, and not the section? */
export function isAbsence(value: unknown): value is Absence {
  return typeof value === 'object' && value !== null && 'absent' in value;
}
