import { sizeText } from '../../handover/words.js';
import type { KhoHandover, KhoHead, KhoReport } from '../schema/kho.js';
import { printable } from './page.js';
import { columns } from './table-columns.js';

/** The tree of each handover with every value in words. */
export function* khoShowText({ handovers, silent }: KhoReport): Generator<string> {
  for (const [index, handover] of handovers.entries()) {
    if (index > 0) yield '';
    yield* headText(handover);
    for (const { name, blob, place, format, lines } of handover.users) {
      yield '';
      const where = blob === null ? '' : `, ${sizeText(blob.size)} at ${blob.address}${aside(place)}`;
      yield printable(`${name}: ${format}${where}`);
      for (const line of lines) {
        const indent = '  '.repeat(line.depth + 1);
        if (line.value !== null) yield printable(`${indent}${line.name} = ${line.value}${aside(line.place)}`);
        else if (line.depth > 0) yield printable(`${indent}${line.name}:`);
      }
    }
    if (handover.files.length > 0) yield '';
    for (const { name, size, folios, lost } of handover.files) {
      const missing = lost === null || lost === 0 ? '' : `, ${lost} of them not in the map`;
      yield printable(`file ${name}: ${sizeText(size)}, ${folios} folios${missing}`);
    }
  }
  yield* endText(handovers, silent);
}

/** The preserved memory of each handover, by address. */
export function* khoMapText({ handovers, silent }: KhoReport): Generator<string> {
  for (const [index, handover] of handovers.entries()) {
    if (index > 0) yield '';
    yield* headText(handover);
    if (handover.preserved === null) continue;
    yield '';
    const rows = handover.preserved.blocks.map(({ address, size, order, owner, scratch }) => [
      address,
      sizeText(size),
      String(order),
      printable(`${owner ?? '?'}${scratch ? ' (in scratch memory!)' : ''}`),
    ]);
    yield* columns([['ADDRESS', 'SIZE', 'ORDER', 'OWNER'], ...rows], [3]);
  }
  yield* endText(handovers, silent);
}

function* endText(handovers: readonly KhoHandover[], silent: KhoReport['silent']): Generator<string> {
  if (handovers.length === 0) yield 'no handover';
  if (silent.length > 0 && handovers.length > 0) yield '';
  for (const { place, why } of silent) yield printable(`nothing from ${place}: ${why}`);
}

/** In brackets, where there is anything to say. */
function aside(text: string | null): string {
  return text === null ? '' : ` (${text})`;
}

function* headText(handover: KhoHandover): Generator<string> {
  const { scratch, preserved, evidence, place } = handover;
  yield khoTitle(handover);
  if (place !== null) yield `  the tree   ${place}`;
  for (const { address: start, size } of scratch) yield `  scratch    ${start}, ${sizeText(size)}`;
  if (preserved !== null) {
    const own = preserved.own === 0 ? '' : ` of ${preserved.own} pages`;
    yield `  preserved  ${sizeText(preserved.bytes)} in ${preserved.blocks.length} places (${preserved.form}${own})`;
  }
  for (const one of evidence) yield printable(`  evidence   ${one}`);
}

/** Which handover it is, in one line. */
export function khoTitle({ compatible, series, direction, address, totalSize }: KhoHead): string {
  const kind = series === '2023' ? ' of the series of 2023/24' : series === null ? ', told by its shape' : '';
  const way = direction === null ? '' : `${direction} `;
  const place = address === null ? '' : ` at ${address}`;
  return `${way}handover ${compatible}${kind}: a tree of ${totalSize} bytes${place}`;
}
