import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';
import { TaskNameSchema } from './ps.js';

const common = (what: string) => ({
  address: Hex(`Address of its struct ${what}`),
  key: Hex('Its key'),
  id: Type.Integer({ description: 'Its identifier' }),
  uid: Count("Its owner, by the kernel's own number"),
  permissions: Text('In octal: 600'),
});

export const SharedMemorySchema = Type.Object(
  {
    ...common('shmid_kernel'),
    size: Count('In bytes'),
    attached: Count('How often it is attached'),
    status: Type.Array(Type.String(), { description: 'dest: to be destroyed at the last detach; locked' }),
    inode: nullable(Hex('Address of its struct inode'), 'The file in tmpfs behind it'),
    pages: nullable(
      Type.Object({ total: Count('Pages'), resident: Count('In memory'), swapped: Count('In swap') }),
      'Its pages; huge ones are not counted',
    ),
  },
  { description: 'A shared memory segment' },
);
export type SharedMemoryReport = Static<typeof SharedMemorySchema>;

export const SemaphoreArraySchema = Type.Object(
  { ...common('sem_array'), semaphores: Count('How many') },
  { description: 'A semaphore array' },
);
export type SemaphoreArrayReport = Static<typeof SemaphoreArraySchema>;

export const MessageQueueSchema = Type.Object(
  { ...common('msg_queue'), usedBytes: Count('In its messages'), messages: Count('How many') },
  { description: 'A message queue' },
);
export type MessageQueueReport = Static<typeof MessageQueueSchema>;

export const IpcsSchema = document('exhume-ipcs/1', 'System V IPC (exhume ipcs --json)', {
  task: nullable(TaskNameSchema, "The task whose namespace it is; the kernel's first one where none was asked for"),
  sharedMemory: Type.Union([Type.Array(SharedMemorySchema), Type.Null()], { description: 'null when not asked for' }),
  semaphores: Type.Union([Type.Array(SemaphoreArraySchema), Type.Null()], { description: 'null when not asked for' }),
  messageQueues: Type.Union([Type.Array(MessageQueueSchema), Type.Null()], { description: 'null when not asked for' }),
});
export type IpcsReport = Static<typeof IpcsSchema>;
