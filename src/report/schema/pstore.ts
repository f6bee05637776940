import { type Static, Type } from 'typebox';
import { RECORD_TYPES } from '../../pstore/name.js';
import { Count, document, nullable, Text } from './common.js';

const TypeSchema = Type.Enum([...RECORD_TYPES], {
  description: 'dmesg: a part of the kernel log; console, pmsg, ftrace …',
});
const MethodSchema = Type.Enum(['none', 'deflate', 'zlib']);
const Reason = nullable(Type.String(), 'Why the kernel wrote it: Panic, Oops, Emergency, Shutdown');
const DumpCount = nullable(Type.Integer({ minimum: 0 }), 'Which dump of its boot it is part of, from 1');
/** `RecordContent`. */
const CONTENT = {
  reason: Reason,
  count: DumpCount,
  part: nullable(Type.Integer({ minimum: 0 }), 'Which part of that dump it is; 1 is the newest'),
  method: nullable(MethodSchema, 'How it is compressed'),
  size: Count('Bytes as stored'),
  textSize: nullable(Type.Integer({ minimum: 0 }), 'Bytes when decompressed'),
};
const Guest = nullable(Type.String(), 'Whose it is, where it comes from a store');

/** What stands beside each record of a store. */
export const PstoreRecordSchema = Type.Object(
  {
    schema: Type.Literal('exhume-pstore-record/1', { description: 'The shape of this document, and its version' }),
    guest: Text('Whose it is'),
    type: TypeSchema,
    id: Count('Its number, given by the store'),
    file: Text("The record's file, in the same directory"),
    time: Type.Object(
      {
        epoch: Count('Seconds since 1970'),
        nanoseconds: Count('Further nanoseconds'),
        iso: Text('The same as ISO 8601, UTC'),
      },
      { description: "When it was written, by the host's clock" },
    ),
    boot: nullable(
      Type.Integer({ minimum: 0 }),
      'The number of the first record that the guest wrote in the same boot: with it, reason and count name one dump',
    ),
    ...CONTENT,
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Of the bytes as stored' }),
  },
  { $id: 'urn:exhume:pstore-record:1', title: 'A record in a store of virtio-pstore (dmesg-3.json)' },
);

export const PstoreRowSchema = Type.Object(
  {
    name: Text('How to name it to this command: dmesg-3.enc.z, web/dmesg-3.enc.z'),
    guest: Guest,
    type: TypeSchema,
    backend: nullable(Type.String(), 'What kept it: erst, efi, ramoops, virtio'),
    id: Type.String({ pattern: '^\\d+$', description: 'Its number: 64 bits, in decimal' }),
    time: nullable(
      Type.Object({ epoch: Type.Integer({ description: 'Seconds since 1970' }), iso: Text('ISO 8601, UTC') }),
      "When it was written: as the store noted it, else the file's time",
    ),
    ...CONTENT,
  },
  { description: 'A record' },
);
export type PstoreRow = Static<typeof PstoreRowSchema>;

export const PstoreListSchema = document('exhume-pstore-ls/1', 'pstore records (exhume pstore ls --json)', {
  records: Type.Array(PstoreRowSchema, { description: 'By guest, then by number' }),
});
export type PstoreList = Static<typeof PstoreListSchema>;

export const PstoreTextSchema = Type.Object(
  {
    title: Text('Panic#2, or the name of a record that is no part of a dump'),
    guest: Guest,
    reason: Reason,
    count: DumpCount,
    records: Type.Array(Type.String(), { description: 'The records that it is made of, the oldest lines first' }),
    missing: Type.Array(Type.Integer(), { description: 'Parts that are not there, below the highest that is' }),
    text: Text('The text, its lines as /proc/kmsg gives them; bytes that are not UTF-8 as \\xNN'),
  },
  { description: 'The parts of one dump joined, or one other record' },
);
export type PstoreText = Static<typeof PstoreTextSchema>;

export const PstoreCatSchema = document('exhume-pstore-cat/1', 'Texts of pstore records (exhume pstore cat --json)', {
  texts: Type.Array(PstoreTextSchema),
});
export type PstoreCat = Static<typeof PstoreCatSchema>;

export const PstoreChangeSchema = document(
  'exhume-pstore-change/1',
  'What was removed or written (exhume pstore rm --json, exhume pstore extract --json)',
  {
    action: Type.Union([Type.Literal('removed'), Type.Literal('written')]),
    files: Type.Array(Type.String(), { description: 'Names of records that were removed, or paths of new files' }),
  },
);
export type PstoreChange = Static<typeof PstoreChangeSchema>;
