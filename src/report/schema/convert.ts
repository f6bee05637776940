import { type Static, Type } from 'typebox';
import { COMPRESSION_METHODS } from '../../codecs/codec.js';
import { OUTPUT_FORMATS } from '../../convert/outcome.js';
import { Count, document, FileSchema, nullable, Text } from './common.js';

export const ConvertSchema = document('exhume-convert/1', 'What a conversion wrote (exhume convert --json)', {
  file: FileSchema,
  dryRun: Type.Boolean({ description: 'Nothing was written: sizes of the output are estimates' }),
  output: Type.Object(
    {
      format: Type.Enum([...OUTPUT_FORMATS], { description: 'The form of the new dump' }),
      compression: nullable(Type.Enum([...COMPRESSION_METHODS]), 'How its pages are compressed; null: not at all'),
      files: Type.Array(Type.Object({ name: Text('Name; `-` is standard output'), bytes: Count('Size') }), {
        description: 'More than one with --split',
      }),
      bytes: Count('Their sizes together'),
    },
    { description: 'The new dump' },
  ),
  header: Type.Object(
    {
      repairs: Type.Array(
        Type.Object({
          field: Text('As a kdump header calls it'),
          was: nullable(Type.String(), 'What the input has there'),
          now: Text('What the new dump has'),
          from: Text('Where the right value is from'),
        }),
        { description: 'What the input has wrong or not at all, and the new dump has right' },
      ),
      missing: Type.Array(Type.String(), { description: 'What the new header lacks' }),
    },
    { description: 'The header of the new dump' },
  ),
  pages: Type.Object(
    {
      size: Count('Bytes of a page'),
      described: Count('Pages of RAM that the input describes'),
      written: Count('Pages whose content is in the new dump'),
      zero: Count('Of the written ones: zeros, which take no room of their own'),
      excludedBefore: Count('Pages that the input did not have any more: filtered out before'),
      excluded: Type.Array(
        Type.Object({
          class: Text('zero, cache, private, user, free, poisoned, offline, beyond, unneeded, scrubbed'),
          pages: Count('Pages left out; each counts in one class only'),
          bytes: Count('The memory that they are'),
        }),
        { description: 'What was left out now' },
      ),
      unknown: Count('Pages that were kept because their struct page is not in the input, or there is none'),
      lost: Count('Pages that the input should have and has not, or whose data is broken'),
    },
    { description: 'Where the pages of memory went' },
  ),
  scrubbed: Type.Union(
    [
      Type.Object({
        blanked: Type.Array(
          Type.Object({ kind: Text('What kind of data'), objects: Count('How many'), bytes: Count('Their size') }),
          { description: 'Data of users that was left out or overwritten by zeros, beside the classes of pages' },
        ),
        stays: Type.Array(Type.String(), { description: 'What may hold data of users and is still there' }),
      }),
      Type.Null(),
    ],
    { description: 'With --scrub user: what was scrubbed; else null' },
  ),
  seconds: Type.Number({ minimum: 0, description: 'How long it took' }),
  bytesPerSecond: Count('Memory described, by the time it took'),
  jobs: Count('Threads that packed pages'),
});
export type ConvertReport = Static<typeof ConvertSchema>;
