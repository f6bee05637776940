import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

export const RdSchema = document('exhume-rd/1', 'Memory (exhume rd --json)', {
  query: Text('What was asked'),
  space: Type.Union([Type.Literal('kernel'), Type.Literal('physical'), Type.Literal('user')]),
  address: Hex('First address'),
  symbol: nullable(Type.String(), 'The symbol that it lies in'),
  unit: Type.Union([Type.Literal(8), Type.Literal(16), Type.Literal(32), Type.Literal(64)], {
    description: 'Bits per value',
  }),
  bytes: Count('How much was asked for'),
  runs: Type.Array(
    Type.Union([
      Type.Object({
        address: Hex('First address'),
        values: Type.Array(Hex('One value')),
        symbols: nullable(
          Type.Array(Type.Union([Type.String(), Type.Null()])),
          'A symbol for each value, with --symbols',
        ),
        ascii: Text('The bytes as text; a dot for what does not print'),
      }),
      Type.Object({
        address: Hex('First address'),
        bytes: Count('How many bytes are missing'),
        missing: Text('Why'),
      }),
    ]),
    { description: 'Memory in order; what is missing is named, never shown as zeros' },
  ),
  string: nullable(Type.String(), 'The NUL-terminated text at the address, with --ascii'),
});
export type RdReport = Static<typeof RdSchema>;
