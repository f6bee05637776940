import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

export const VtopSchema = document('exhume-vtop/1', 'Address translation (exhume vtop --json)', {
  root: Hex('Physical address of the top-level table'),
  levels: Type.Integer({ description: '4 or 5' }),
  translations: Type.Array(
    Type.Object({
      query: Text('What was asked'),
      virtual: Hex('Virtual address'),
      symbol: nullable(Type.String(), 'The symbol that it lies in'),
      physical: nullable(Hex('Physical address'), 'Where it is mapped to'),
      pageBytes: nullable(Count('Page size'), 'Size of the mapping'),
      page: nullable(
        Type.Union([Type.Literal('present'), Type.Literal('excluded'), Type.Literal('lost'), Type.Literal('absent')]),
        'What became of that page in the dump',
      ),
      steps: Type.Array(
        Type.Object({
          level: Text('PML5, PGD, PUD, PMD, PTE'),
          entryAddress: Hex('Physical address of the entry'),
          entry: Hex('The entry'),
          flags: Type.Array(Type.String()),
        }),
      ),
      stopped: nullable(Type.String(), 'Why there is no physical address'),
    }),
  ),
});
export type VtopReport = Static<typeof VtopSchema>;
