import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

export const ControlFieldSchema = Type.Object(
  {
    name: Text('As Linux calls it'),
    encoding: nullable(Hex("VMREAD's number of it"), 'A VMCS field'),
    offset: Count('In the page, in bytes'),
    size: Count('In bytes'),
    value: Hex('Its value; access rights of a VMCS as VMREAD would give them'),
    names: Type.Array(Type.String(), { description: 'Bits that are set and the like, by name' }),
  },
  { description: 'A field' },
);
export type ControlFieldReport = Static<typeof ControlFieldSchema>;

export const ControlSchema = document('exhume-control/1', "A guest's control structure (exhume guests --vmcs --json)", {
  from: Text('The file, or the physical address'),
  kind: Type.Union([Type.Literal('VMCS'), Type.Literal('VMCB')], { description: "Intel's, or AMD's" }),
  layout: Text('Whose layout it has'),
  evidence: Type.Array(Type.String(), { description: 'What spoke for the layout' }),
  fields: Type.Array(ControlFieldSchema, { description: 'By ascending offset' }),
});
export type ControlReport = Static<typeof ControlSchema>;
