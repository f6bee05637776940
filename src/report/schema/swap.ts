import { type Static, Type } from 'typebox';
import { Count, document, Hex, Text } from './common.js';

export const SwapAreaSchema = Type.Object(
  {
    info: Hex('Address of its struct swap_info_struct'),
    type: Type.Enum(['PARTITION', 'FILE']),
    size: Count('In bytes'),
    used: Count('In bytes'),
    priority: Type.Integer(),
    path: Text('The device or file'),
  },
  { description: 'A swap area' },
);
export type SwapAreaReport = Static<typeof SwapAreaSchema>;

export const SwapSchema = document('exhume-swap/1', 'Swap areas (exhume swap --json)', {
  areas: Type.Array(SwapAreaSchema),
});
export type SwapReport = Static<typeof SwapSchema>;
