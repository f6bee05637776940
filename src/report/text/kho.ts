import { sizeText } from '../../handover/words.js';
import type { KhoHandover, KhoHead, KhoReport } from '../schema/kho.js';
import { printable } from './page.js';
import { columns } from './table-columns.js';

/** The tree of each handover with every value in words. */
export function* khoShowText({ handovers, silent }: KhoReport): Generator<string> {
  for (const [index, handover] of handovers.entries()) {
    if (index > 0) yield '';
    yield* headText(handover);
    for (const { name, blob, format, lines } of handover.users) {
      yield '';
      yield printable(`${name}: ${format}${blob === null ? '' : `, ${sizeText(blob.size)} at ${blob.address}`}`);
      for (const line of lines) {
        const indent = '  '.repeat(line.depth + 1);
        if (line.value !== null) yield printable(`${indent}${line.name} = ${line.value}`);
        else if (line.depth > 0) yield printable(`${indent}${line.name}:`);
      }
    }
    for (const { name, size, folios } of handover.files) {
      yield printable(`file ${name}: ${sizeText(size)}, ${folios} folios`);
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

function* headText(handover: KhoHandover): Generator<string> {
  const { scratch, preserved, evidence } = handover;
  yield khoTitle(handover);
  for (const { address: start, size } of scratch) yield `  scratch    ${start}, ${sizeText(size)}`;
  if (preserved !== null) {
    yield `  preserved  ${sizeText(preserved.bytes)} in ${preserved.blocks.length} places (${preserved.form})`;
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
