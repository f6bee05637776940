import { hex } from '../../bytes/address.js';
import { sizeText } from '../../handover/words.js';
import { html, type Markup } from '../html/markup.js';
import { COLUMNS, type HandoverImage, type ImageBar, type ImageLane, type ImageScale } from '../kho-image.js';
import { khoTitle } from '../text/kho.js';
import { scalePlace } from '../text/kho-image.js';
import { KHO_IMAGE_STYLE } from './kho-image-style.js';

/** In pixels, all of them. */
const MARGIN = 24;
const LABELS = 200;
const COLUMN = 12;
const PLOT = COLUMNS * COLUMN;
const LEFT = MARGIN + LABELS;
const WIDTH = LEFT + PLOT + MARGIN;
const BAR = 16;
const ROW = 22;
const TICK = 8;
/** Narrower bars nobody sees. */
const NARROWEST = 2;
const LONGEST_LABEL = 26;

/** Pictures of handovers' memory as one SVG document: exact places when the pointer rests on a bar, no script. */
export function khoImageSvg(images: readonly HandoverImage[]): string {
  const drawing = new Drawing();
  for (const image of images) drawing.handover(image);
  if (images.length === 0) drawing.title('no handover');
  else drawing.legend();
  return drawing.document();
}

class Drawing {
  private readonly parts: Markup[] = [];
  /** Where the next part goes. */
  private top = MARGIN;

  title(text: string): void {
    this.top += 14;
    this.parts.push(html`<text class="title" x="${MARGIN}" y="${this.top}">${text}</text>`);
    this.top += 14;
  }

  handover(image: HandoverImage): void {
    this.title(khoTitle(image));
    for (const scale of image.scales) this.scale(scale);
    if (image.undrawn > 0) {
      this.top += 18;
      const text = `${image.undrawn} more places are too small to be seen, and drawn on no scale of their own`;
      this.parts.push(html`<text class="soft" x="${MARGIN}" y="${this.top}">${text}</text>`);
    }
    this.top += 24;
  }

  private scale(scale: ImageScale): void {
    this.top += 26;
    const title = `${scalePlace(scale)}; from line to line ${sizeText(scale.column * TICK)}`;
    this.parts.push(html`<text class="scale" x="${MARGIN}" y="${this.top}">${title}</text>`);
    this.top += 20;
    const height = scale.lanes.length * ROW;
    for (let column = 0; column < COLUMNS; column += TICK) {
      const x = LEFT + column * COLUMN;
      const address = hex(scale.start + column * scale.column);
      this.parts.push(
        html`<path class="grid" d="M${x} ${this.top + 4}v${height + 4}"/><text class="tick" x="${x}" y="${this.top}">${address}</text>`,
      );
    }
    this.top += 8;
    for (const lane of scale.lanes) this.lane(lane);
  }

  private lane({ name, bars }: ImageLane): void {
    const middle = this.top + BAR - 4;
    const label = name.length > LONGEST_LABEL ? `${name.slice(0, LONGEST_LABEL - 1)}…` : name;
    const holes = bars.some(({ kind }) => kind === 'ram') ? 'holes' : 'lane';
    this.parts.push(
      html`<text class="label" x="${LEFT - 10}" y="${middle}">${label}<title>${name}</title></text>`,
      html`<rect class="${holes}" x="${LEFT}" y="${this.top}" width="${PLOT}" height="${BAR}"/>`,
      ...bars.map((bar) => this.bar(bar)),
    );
    this.top += ROW;
  }

  private bar(bar: ImageBar): Markup {
    const { kind, from, to, about } = bar;
    const least = kind === 'zoom' ? COLUMN : NARROWEST;
    const width = Math.max(least, (to - from) * COLUMN);
    const left = LEFT + Math.min(from * COLUMN, PLOT - width);
    const rect = html`<rect class="${classOf(bar)}" x="${rounded(left)}" y="${this.top}" width="${rounded(width)}" height="${BAR}"><title>${barText(bar)}</title></rect>`;
    if (kind !== 'zoom') return rect;
    return html`${rect}<text class="letter" x="${rounded(left + width / 2)}" y="${this.top + BAR - 4}">${about}</text>`;
  }

  legend(): void {
    this.top += 8;
    const entries: readonly (readonly [look: string, words: string])[] = [
      ['ram', 'RAM'],
      ['holes', 'no RAM'],
      ['scratch', 'scratch'],
      ['map', "the map's pages"],
      ['named', 'named, in no map'],
      ['fault', 'overlap'],
      ...ORDERS.map(({ look, words }) => [look, words] as const),
    ];
    let x = MARGIN;
    for (const [look, words] of entries) {
      const width = 26 + words.length * 6.6 + 14;
      if (x + width > WIDTH - MARGIN) {
        x = MARGIN;
        this.top += ROW;
      }
      this.parts.push(
        html`<rect class="${look}" x="${rounded(x)}" y="${this.top}" width="18" height="12"/><text x="${rounded(x + 24)}" y="${this.top + 10.5}">${words}</text>`,
      );
      x += width;
    }
    this.top += ROW;
  }

  document(): string {
    const height = this.top + MARGIN;
    const page = html`<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>The memory of a kexec handover</title>
<style>${KHO_IMAGE_STYLE}</style>
<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="hatch" d="M0 0v6"/></pattern></defs>
<rect class="page" width="${WIDTH}" height="${height}"/>
${this.parts.map((part) => html`${part}\n`)}</svg>
`;
    return page.text;
  }
}

/** Orders that look alike, from the lowest on. */
const ORDERS: readonly { readonly from: number; readonly look: string; readonly words: string }[] = [
  { from: 0, look: 'o0', words: 'preserved, order 0 (4 KiB)' },
  { from: 1, look: 'o1', words: '1 to 3' },
  { from: 4, look: 'o4', words: '4 to 8' },
  { from: 9, look: 'o9', words: '9 (2 MiB) to 17' },
  { from: 18, look: 'o18', words: '18 (1 GiB) and more' },
];

function classOf({ kind, order }: ImageBar): string {
  if (kind !== 'preserved') return kind;
  return ORDERS.findLast(({ from }) => from <= (order ?? 0))?.look ?? 'o0';
}

/** What a bar is, exactly. */
function barText({ kind, start, end, order, places, bytes, about }: ImageBar): string {
  const place = `${hex(start)} to ${hex(end - 1)}`;
  if (kind === 'zoom') return `${place}: drawn larger as ${about}`;
  const size = places === 1 ? sizeText(bytes) : `${sizeText(bytes)} in ${places} places`;
  const parts = [`${place}: ${size}`];
  if (kind === 'preserved') parts.push(`order ${places === 1 ? '' : 'up to '}${order}`);
  if (kind === 'ram') parts.push('RAM');
  if (kind === 'scratch') parts.push('scratch');
  if (kind === 'map') parts.push('of the map itself');
  if (about !== undefined) parts.push(about);
  return parts.join(', ');
}

function rounded(pixels: number): string {
  return String(Math.round(pixels * 100) / 100);
}
