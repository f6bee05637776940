import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';
import { AreaSchema } from './kho.js';

export const KhoBuiltSchema = document('exhume-kho-built/1', 'What was built (exhume kho build --json)', {
  compatible: Text("The root's"),
  direction: Type.Enum(['outgoing', 'incoming'], { description: 'What the dump says it is' }),
  tree: Type.Object({ address: Hex('Physical'), size: Count('In bytes') }),
  scratch: Type.Array(AreaSchema, { description: 'Where the next kernel may do as it likes' }),
  preserved: Type.Object({ blocks: Count('In the map'), bytes: Count('Of all blocks') }),
  users: Type.Array(
    Type.Object({ name: Text('Of its node'), address: Hex('Of its description'), size: Count('In bytes') }),
  ),
  present: Count('Bytes of memory that the dump holds'),
  output: nullable(Type.String(), 'The dump; null: none was asked for'),
  treeOutput: nullable(Type.String(), 'The file of the tree; null: none was asked for'),
  directory: nullable(Type.String(), 'The directory of tree and descriptions; null: none was asked for'),
  trace: nullable(
    Type.Array(
      Type.Object({
        cpu: Count('Number'),
        events: Count('That are handed over'),
        lost: Count('On the page that was just being read: they are not'),
      }),
    ),
    'Of --ftrace-from',
  ),
  warnings: Type.Array(Type.Object({ path: Text('In the description'), message: Text('What is possible, and wrong') })),
});
export type KhoBuiltReport = Static<typeof KhoBuiltSchema>;
