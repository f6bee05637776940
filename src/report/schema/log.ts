import { type Static, Type } from 'typebox';
import { Count, document, nullable, Text } from './common.js';

export const LogRecordSchema = Type.Object(
  {
    sequence: nullable(Count('Sequence number'), 'Counts from boot, 0 the first'),
    time: nullable(Type.Number(), 'Seconds since boot'),
    level: Type.Integer({ minimum: 0, maximum: 7, description: '0 emerg … 7 debug' }),
    facility: Count('syslog facility; 0 is the kernel'),
    caller: nullable(Type.String(), 'T123: task 123; C1: CPU 1'),
    text: Text('The message, without its final newline'),
    newline: Type.Boolean({ description: 'The message ended its line' }),
    continuation: Type.Boolean({ description: 'It goes on the line that the record before it began' }),
    dictionary: Type.Record(Type.String(), Type.String(), { description: 'SUBSYSTEM, DEVICE: what drivers attach' }),
  },
  { description: 'One printk record' },
);
export type LogRecordReport = Static<typeof LogRecordSchema>;

const PendingSchema = Type.Object({
  ...LogRecordSchema.properties,
  after: Count('How many records of the log come before it'),
});

export const LogSchema = document('exhume-log/1', 'The kernel log (exhume log --json)', {
  log: Type.Object({
    format: Text('How the kernel kept it: printk_ringbuffer, log_buf, text'),
    source: Text('Where it lay'),
    total: Count('Records in the whole log'),
    lost: Type.Object({
      atStart: nullable(Count('Messages overwritten'), 'Messages overwritten before the first record'),
      between: Count('Messages missing between records'),
    }),
    records: Type.Array(LogRecordSchema, { description: 'The records that were asked for, oldest first' }),
    pending: Type.Array(PendingSchema, {
      description: 'Messages that were being written when the kernel stopped: it never showed them itself',
    }),
  }),
});
export type LogReport = Static<typeof LogSchema>;
