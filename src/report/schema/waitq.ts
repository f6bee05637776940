import { type Static, Type } from 'typebox';
import { document, Hex, nullable } from './common.js';
import { TaskNameSchema } from './ps.js';

export const WaitqSchema = document('exhume-waitq/1', 'A wait queue (exhume waitq --json)', {
  queue: Hex('Address of the head of the queue'),
  waiters: Type.Array(
    Type.Object({
      entry: Hex('Address of the entry'),
      task: nullable(TaskNameSchema, 'Who waits; an entry may also belong to something else, such as epoll'),
      exclusive: Type.Boolean({ description: 'Of these only one is woken at a time' }),
      wake: nullable(Hex('Address'), 'What is called to wake it'),
      symbol: nullable(Type.String(), 'The same as a symbol'),
    }),
    { description: 'In the order in which they are woken' },
  ),
});
export type WaitqReport = Static<typeof WaitqSchema>;
