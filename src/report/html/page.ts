import type { Report } from '../schema/report.js';
export function* reportPage(_r: Report): Generator<string> {
  yield '';
}
