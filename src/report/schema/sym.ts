import { type Static, Type } from 'typebox';
import { document, Hex, nullable, Text } from './common.js';

export const SymbolSchema = Type.Object({
  name: Text('Symbol'),
  address: Hex('Its address'),
  type: Text('As nm prints it'),
  module: nullable(Type.String(), 'The module that it belongs to; null for the kernel image itself'),
});
export type SymbolReport = Static<typeof SymbolSchema>;

export const SymSchema = document('exhume-sym/1', 'Symbols (exhume sym --json)', {
  queries: Type.Array(
    Type.Object({
      query: Text('What was asked'),
      matches: Type.Array(
        Type.Object({
          ...SymbolSchema.properties,
          offset: nullable(Hex('Distance'), 'How far into the symbol the asked address lies; only for addresses'),
          size: nullable(Hex('Size'), 'Bytes to the next symbol'),
        }),
      ),
    }),
    { description: 'An answer to each NAME and ADDRESS; matches is empty where there is none' },
  ),
  symbols: nullable(Type.Array(SymbolSchema), 'The list that --grep or --list asked for'),
});
export type SymReport = Static<typeof SymSchema>;
