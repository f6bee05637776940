import type { SearchReport } from '../schema/search.js';
import { digits16, humanBytes, Page, printable, type TextOptions } from './page.js';

export function* searchText(report: SearchReport, options: TextOptions): Generator<string> {
  const { paint } = new Page(options);
  for (const { address, value, symbol } of report.matches) {
    const place = report.space === 'physical' ? address.slice(2) : digits16(address);
    yield `${place}: ${printable(value)}${symbol === null ? '' : paint.dim(`  ${symbol}`)}`;
  }
  const missing = report.missingBytes === 0 ? '' : `; ${humanBytes(report.missingBytes)} are not in the dump`;
  const found = report.truncated ? `the first ${report.matches.length} (raise --limit)` : `${report.matches.length}`;
  yield paint.dim(`${found} found in ${humanBytes(report.searchedBytes)}${missing}`);
}
