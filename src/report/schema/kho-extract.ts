import { type Static, Type } from 'typebox';
import { Count, document, Text } from './common.js';

export const KhoExtractSchema = document('exhume-kho-extract/1', 'What was written (exhume kho extract --json)', {
  name: Text('Of what was handed over'),
  kind: Type.Enum(['description', 'memory', 'file'], {
    description: "description: a user's own; memory: an area that it names; file: the content of a memfd",
  }),
  size: Count('In bytes'),
  holes: Count('Bytes that the file never had pages for, in bytes'),
  output: Text('The file that was written'),
});
export type KhoExtractReport = Static<typeof KhoExtractSchema>;
