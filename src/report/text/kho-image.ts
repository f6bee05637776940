import { hex } from '../../bytes/address.js';
import { sizeText } from '../../handover/words.js';
import { type BarKind, COLUMNS, type HandoverImage, type ImageBar, type ImageScale } from '../kho-image.js';
import { khoTitle } from './kho.js';
import { printable } from './page.js';

const LONGEST_LABEL = 28;
/** Columns between two addresses above a scale. */
const TICK = 16;

/** Characters for what has no order. */
const SIGNS: Readonly<Record<Exclude<BarKind, 'preserved' | 'zoom'>, string>> = {
  ram: '=',
  scratch: '~',
  named: '?',
  map: '#',
  fault: '!',
};

/** Pictures of handovers' memory, of characters: a row for each kind and owner, for all memory and for what is too small there. */
export function* khoImageText(images: readonly HandoverImage[]): Generator<string> {
  for (const [index, image] of images.entries()) {
    if (index > 0) yield '';
    yield khoTitle(image);
    const names = image.scales.flatMap(({ lanes }) => lanes.map(({ name }) => printable(name).length));
    const width = Math.min(LONGEST_LABEL, Math.max(...names, 0));
    for (const scale of image.scales) yield* scaleText(scale, width);
    if (image.undrawn > 0)
      yield `${image.undrawn} more places are too small to be seen, and drawn on no scale of their own`;
  }
  if (images.length === 0) yield 'no handover';
  else yield* legend();
}

function* scaleText(scale: ImageScale, width: number): Generator<string> {
  yield '';
  yield `${scalePlace(scale)}; a column is ${sizeText(scale.column)}`;
  const margin = ' '.repeat(width + 4);
  const ticks = Array.from({ length: COLUMNS / TICK }, (_, tick) => hex(scale.start + tick * TICK * scale.column));
  yield (margin + ticks.map((address) => address.padEnd(TICK)).join('')).trimEnd();
  yield margin + `|${' '.repeat(TICK - 1)}`.repeat(COLUMNS / TICK).trimEnd();
  for (const { name, bars } of scale.lanes) {
    const cells = new Array<string>(COLUMNS).fill('.');
    for (const bar of bars) {
      const first = Math.min(Math.floor(bar.from), COLUMNS - 1);
      const last = Math.max(first, Math.ceil(bar.to) - 1);
      for (let cell = first; cell <= last; cell++) cells[cell] = higher(cells[cell] ?? '.', signOf(bar));
    }
    yield `  ${labelText(name, width)}  ${cells.join('')}`;
  }
}

/** Which part of memory a scale shows. */
export function scalePlace({ letter, start, end }: ImageScale): string {
  return `${letter === '' ? 'memory' : letter}: ${hex(start)} to ${hex(end - 1)}, ${sizeText(end - start)}`;
}

function labelText(name: string, width: number): string {
  const safe = printable(name);
  return (safe.length > width ? `${safe.slice(0, width - 1)}…` : safe).padEnd(width);
}

function signOf({ kind, order, about }: ImageBar): string {
  if (kind === 'zoom') return about ?? '';
  return kind === 'preserved' ? (order ?? 0).toString(36) : SIGNS[kind];
}

/** Where two are in a column, the larger order; what is not in the map before everything. */
function higher(one: string, other: string): string {
  if (one === '.' || other === SIGNS.named) return other;
  return one === SIGNS.named || one > other ? one : other;
}

function* legend(): Generator<string> {
  yield '';
  yield '  =  RAM    ~  scratch    #  a page of the map    !  overlap    ?  named, but in no map';
  yield '  0 to 9, a (10), b (11) …  preserved: the largest order of the blocks there (order 9: 2 MiB, i: 1 GiB)';
}
