import type { SwapReport } from '../schema/swap.js';
import { columns } from './columns.js';
import { digits16 } from './page.js';

export function* swapText({ areas }: SwapReport): Generator<string> {
  yield* columns(
    [
      ['SWAP_INFO_STRUCT', 'TYPE', 'SIZE', 'USED', 'PCT', 'PRI', 'FILENAME'],
      ...areas.map(({ info, type, size, used, priority, path }) => [
        digits16(info),
        type,
        `${size / 1024}k`,
        `${used / 1024}k`,
        `${size === 0 ? 0 : Math.floor((used * 100) / size)}%`,
        String(priority),
        path,
      ]),
    ],
    ['left', 'left', 'right', 'right', 'right', 'right'],
  );
  if (areas.length === 0) yield '(none in use)';
}
