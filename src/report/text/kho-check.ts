import { sizeText } from '../../handover/words.js';
import type { KhoCheckReport } from '../schema/kho-check.js';
import { khoTitle } from './kho.js';
import { printable } from './page.js';

/** The findings of each handover, in the order of the checks. */
export function* khoCheckText({ handovers }: KhoCheckReport): Generator<string> {
  for (const [index, handover] of handovers.entries()) {
    if (index > 0) yield '';
    yield khoTitle(handover);
    for (const { severity, about, message, areas } of handover.findings) {
      yield `  ${severity.padEnd(8)} ${printable(`${about}: ${message}`)}`;
      for (const { address, size } of areas) yield `             ${address}, ${sizeText(size)}`;
    }
    if (handover.findings.length === 0) yield '  nothing is refused, nothing is lost';
  }
  if (handovers.length === 0) yield 'no handover';
}
