import { OutputFile } from '../bytes/node/output-file.js';
import { buildKhoImage } from '../report/kho-image.js';
import { khoImageSvg } from '../report/svg/kho-image.js';
import { khoImageText } from '../report/text/kho-image.js';
import type { OpenedHandovers } from './handover-source.js';

/** Draws into a file, which is there whole or not at all: SVG for `*.svg`, else text; for `-` the lines are given back. Throws EXH_IO. */
export function drawKho({ handovers, memory }: OpenedHandovers, path: string): Iterable<string> | undefined {
  const images = buildKhoImage(handovers, memory?.ranges());
  if (path === '-') return khoImageText(images);
  const text = path.endsWith('.svg') ? khoImageSvg(images) : `${[...khoImageText(images)].join('\n')}\n`;
  OutputFile.whole(path, (file) => file.write(0, new TextEncoder().encode(text)));
  return undefined;
}
