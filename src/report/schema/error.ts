import { type Static, Type } from 'typebox';
import { ErrorCodeSchema, nullable, Text } from './common.js';

export const ErrorSchema = Type.Object(
  {
    schema: Type.Literal('exhume-error/1', { description: 'The shape of this document, and its version' }),
    error: Type.Object({
      code: Type.Union([ErrorCodeSchema, Type.Null()], { description: 'null: a bug in exhume' }),
      message: Text('What went wrong'),
      hint: nullable(Type.String(), 'What to try'),
      data: Type.Record(Type.String(), Type.Unknown(), {
        description: 'Offsets and addresses that explain it; 64-bit words as "0x…"',
      }),
    }),
  },
  { $id: 'urn:exhume:error:1', title: 'Why there is no answer (with --json, beside exit status 2, 3 or 4)' },
);
export type ErrorReport = Static<typeof ErrorSchema>;
