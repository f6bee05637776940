import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

export const AreaSchema = Type.Object(
  { address: Hex('Physical'), size: Count('In bytes') },
  { description: 'A stretch of physical memory' },
);

const PLACE =
  'What the memory is that it names: preserved, order N; preserved in part; not in the map; in scratch memory; no RAM; null: none, or not known';

const LineSchema = Type.Object(
  {
    depth: Count('How deep it is nested'),
    name: Text('Of a node, or of a value'),
    value: nullable(Type.String(), 'null: a node'),
    place: nullable(Type.String(), PLACE),
  },
  { description: 'One line of a description that was taken apart' },
);
export type KhoLine = Static<typeof LineSchema>;

/** What tells handovers apart. */
export const KHO_HEAD = {
  compatible: Text("The root's"),
  series: nullable(Type.String(), 'upstream, or 2023: the series of 2023/24; null: told by its shape alone'),
  direction: nullable(Type.String(), 'incoming: from the kernel before; outgoing: to the next one'),
  address: nullable(Hex('Of the tree, physical'), 'null: not told'),
  totalSize: Count('Of the tree, by its header, in bytes'),
};
const HeadSchema = Type.Object(KHO_HEAD);
export type KhoHead = Static<typeof HeadSchema>;

const HandoverSchema = Type.Object(
  {
    ...KHO_HEAD,
    place: nullable(Type.String(), `Of the tree. ${PLACE}`),
    scratch: Type.Array(AreaSchema, { description: 'Where the next kernel may do as it likes' }),
    preserved: nullable(
      Type.Object({
        form: Text('radix tree, bitmaps of 512 bytes, bitmaps of a page, mem properties'),
        own: Count('Pages that the map itself takes'),
        bytes: Count('Of all blocks'),
        blocks: Type.Array(
          Type.Object({
            address: Hex('Physical'),
            size: Count('In bytes'),
            order: Count('Of the pages in it: 2^order'),
            owner: nullable(Type.String(), 'Who named it; null: nobody whose description is known'),
            scratch: Type.Boolean({ description: 'It overlaps scratch memory, where nothing may be' }),
          }),
          { description: 'Blocks that touch and have the same order and owner are joined' },
        ),
      }),
      'null: there is no memory to read it from, or it was in use for other things when it was read',
    ),
    users: Type.Array(
      Type.Object({
        name: Text('Of its node'),
        blob: nullable(AreaSchema, 'null: in the tree itself'),
        place: nullable(Type.String(), `Of the description. ${PLACE}`),
        format: Text('What its description is'),
        lines: Type.Array(LineSchema, { description: 'The description' }),
        areas: Type.Array(Type.Object({ address: Hex('Physical'), size: Count('In bytes'), what: Text('Whose') })),
      }),
    ),
    files: Type.Array(
      Type.Object({
        name: Text('Session and token'),
        size: Count('In bytes'),
        folios: Count('Pages that it has'),
        lost: nullable(Type.Integer(), 'How many of them the map lacks; null: not known'),
      }),
      { description: 'Files that are handed over' },
    ),
    evidence: Type.Array(Type.String(), { description: 'How it was found, and what tells its version' }),
  },
  { description: 'What one kernel leaves to the next' },
);
export type KhoHandover = Static<typeof HandoverSchema>;

export const KhoSchema = document('exhume-kho/1', 'Kexec handovers (exhume kho --json)', {
  handovers: Type.Array(HandoverSchema),
  silent: Type.Array(Type.Object({ place: Text('A file or directory'), why: Text('What it said instead') }), {
    description: 'Places that were looked at and told of no handover',
  }),
});
export type KhoReport = Static<typeof KhoSchema>;
