import { sizeText } from '../../handover/words.js';
import type { KhoExtractReport } from '../schema/kho-extract.js';
import { printable } from './page.js';

/** One line: what was written, and where. */
export function* khoExtractText({ name, kind, size, holes, output }: KhoExtractReport): Generator<string> {
  const empty = holes === 0 ? '' : `, ${sizeText(holes)} of it holes`;
  yield printable(`${kind} ${name}: ${sizeText(size)}${empty}, in ${output}`);
}
