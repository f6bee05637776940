import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

export const SolvedFieldSchema = Type.Object(
  {
    name: Text('As Linux calls it'),
    encoding: Hex("VMREAD's number of it"),
    state: Type.Union(
      [Type.Literal('solved'), Type.Literal('ambiguous'), Type.Literal('nowhere'), Type.Literal('unknown')],
      {
        description:
          'solved: its place is known; ambiguous: it may be in several places, or its value is one that stands anywhere; ' +
          'nowhere: no place holds what it should; unknown: nothing is known of it',
      },
    ),
    offset: nullable(Count('In the page, in bytes'), 'Where it is'),
    how: nullable(
      Type.Union([Type.Literal('values'), Type.Literal('place')]),
      'By its own values, or by its neighbours',
    ),
    places: Type.Array(Type.Integer(), { description: 'Where it may be; the first 8' }),
    witnesses: Count('How many virtual CPUs tell a value of it'),
    from: Type.Array(Type.String(), { description: 'Where those values are from' }),
  },
  { description: 'A field' },
);
export type SolvedFieldReport = Static<typeof SolvedFieldSchema>;

export const SolveSchema = document('exhume-solve/1', 'A layout of VMCSs, derived (exhume guests --solve --json)', {
  by: Text("What it was derived from: KVM's structures, or the pages alone"),
  revision: Hex('The revision identifier of the pages'),
  witnesses: Type.Array(Type.String(), { description: 'The virtual CPUs or pages that it rests on' }),
  accessRights: nullable(
    Type.Union([Type.Literal('plain'), Type.Literal('rotated'), Type.Literal('packed')]),
    'How access rights of segments are stored',
  ),
  fields: Type.Array(SolvedFieldSchema, { description: 'Every field that Linux knows, by ascending encoding' }),
  known: Type.Array(
    Type.Object({
      name: Text('Its name'),
      agree: Count('Fields that it has at the same place'),
      differ: Type.Array(Type.String(), { description: 'Fields that it has elsewhere' }),
    }),
    { description: 'Layouts that exhume knows, compared with this one, the nearest first; they had no part in it' },
  ),
  vmcsinfo: Text('The layout as the text of a VMCSINFO note'),
  row: Text("The layout as a row of exhume's own table"),
});
export type SolveReport = Static<typeof SolveSchema>;
