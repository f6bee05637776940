import { type Static, Type } from 'typebox';
import { document, Text } from './common.js';
import { AreaSchema, KHO_HEAD } from './kho.js';

const FindingSchema = Type.Object({
  severity: Type.Enum(['refused', 'lost', 'note'], {
    description: 'refused: not taken; lost: taken, and memory of it overwritten or gone; note: to know',
  }),
  check: Text('What was looked at'),
  about: Text('The tree, a user, preserved memory'),
  message: Text('What is wrong'),
  areas: Type.Array(AreaSchema, { description: 'Where; the first of them' }),
});
export type KhoFinding = Static<typeof FindingSchema>;

export const KhoCheckSchema = document(
  'exhume-kho-check/1',
  'What a receiving kernel refuses or loses (exhume kho check --json)',
  {
    passed: Type.Boolean({ description: 'There is a handover, and nothing of it is refused or lost' }),
    handovers: Type.Array(Type.Object({ ...KHO_HEAD, findings: Type.Array(FindingSchema) })),
  },
);
export type KhoCheckReport = Static<typeof KhoCheckSchema>;
