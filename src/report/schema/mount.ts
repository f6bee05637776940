import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';
import { TaskNameSchema } from './ps.js';

export const MountSchema = Type.Object(
  {
    mount: Hex('Address of its struct mount'),
    superblock: Hex('Address of its struct super_block'),
    id: Type.Integer({ description: 'Its number in /proc/PID/mountinfo' }),
    parentId: Type.Integer({ description: 'That of the mount that it is mounted in' }),
    type: Text('The file system: ext4, fuse.sshfs'),
    device: Text('What was mounted: /dev/vda1, proc'),
    deviceNumber: Text('MAJOR:MINOR'),
    directory: Text('Where it is mounted, from the root of the namespace; (deleted) behind one that is gone'),
    root: Text("The part of the file system that is mounted there: '/' but for bind mounts"),
    seenAt: nullable(
      Type.String(),
      'Where the task sees it, as /proc/mounts has it; null, too, outside of its root directory',
    ),
    options: Type.Array(Type.String(), {
      description: "Of the mount and superblock, as in /proc/mounts; the file system's own are not among them",
    }),
  },
  { description: 'A mounted file system' },
);
export type MountReport = Static<typeof MountSchema>;

export const MountsSchema = document('exhume-mount/1', 'Mounted file systems (exhume mount --json)', {
  namespace: Hex('Address of the struct mnt_namespace'),
  mountCount: nullable(Count('Mounts'), 'How many mounts the namespace says that it has'),
  task: nullable(TaskNameSchema, 'The task whose namespace it is; the first process where none was asked for'),
  mounts: Type.Array(MountSchema, { description: 'In the order of /proc/mounts' }),
});
export type MountsReport = Static<typeof MountsSchema>;
