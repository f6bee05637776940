import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

export const SearchSchema = document('exhume-search/1', 'Values or texts found in memory (exhume search --json)', {
  space: Type.Enum(['kernel', 'physical'], { description: 'What the addresses are of' }),
  matches: Type.Array(
    Type.Object({
      address: Hex('Where it was found'),
      symbol: nullable(Type.String(), 'The symbol that it lies in'),
      pattern: Text('Which one was found, as it was asked for'),
      value: Text('What stands there: hexadecimal digits, or the text and what follows it'),
    }),
  ),
  searchedBytes: Count('How much memory was searched'),
  missingBytes: Count('How much of the range the dump does not hold'),
  truncated: Type.Boolean({ description: 'There are more matches than the limit' }),
});
export type SearchReport = Static<typeof SearchSchema>;
