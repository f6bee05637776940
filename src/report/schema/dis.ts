import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

export const DisSchema = document('exhume-dis/1', 'Disassembled code (exhume dis --json)', {
  query: Text('As it was asked for'),
  instructions: Type.Array(
    Type.Object({
      address: Hex('Virtual address'),
      symbol: nullable(Type.String(), 'name+offset'),
      bytes: Type.String({ pattern: '^([0-9a-f]{2})+$', description: 'The instruction, in hexadecimal' }),
      length: Count('Bytes'),
      text: Text('In AT&T syntax, as gdb prints it'),
      target: nullable(Hex('Address'), 'Where it branches to, or the address that it names relative to itself'),
      targetSymbol: nullable(Type.String(), 'The same as name+offset'),
      valid: Type.Boolean({ description: 'False for bytes that are no instruction' }),
    }),
  ),
});
export type DisReport = Static<typeof DisSchema>;
