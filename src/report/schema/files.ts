import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';
import { TaskNameSchema } from './ps.js';

export const OpenFileSchema = Type.Object(
  {
    fd: Count('The descriptor'),
    file: Hex('Address of its struct file'),
    dentry: Hex('Address of its struct dentry'),
    inode: nullable(Hex('Address of its struct inode'), 'Its inode'),
    inodeNumber: nullable(Type.String({ pattern: '^[0-9]+$' }), 'Its number in its file system; in decimal'),
    mapping: nullable(Hex('Address of its struct address_space'), 'Where its pages are kept'),
    pages: nullable(Count('Pages'), 'How many pages of it are in memory'),
    type: Type.Enum(['REG', 'DIR', 'CHR', 'BLK', 'FIFO', 'SOCK', 'LNK', 'UNKN'], { description: 'What it is' }),
    path: Text("As the links of /proc/PID/fd; '' where it could not be read"),
    flags: Hex('O_* flags that it was opened with'),
    position: Text('Where the next read begins; bytes, in decimal'),
    closeOnExec: Type.Boolean(),
  },
  { description: 'An open file' },
);
export type OpenFileReport = Static<typeof OpenFileSchema>;

export const TaskFilesSchema = Type.Object({
  task: TaskNameSchema,
  root: nullable(Type.String(), 'Its root directory'),
  workingDirectory: nullable(Type.String(), 'Its working directory'),
  files: Type.Array(OpenFileSchema, { description: 'By descriptor' }),
});
export type TaskFilesReport = Static<typeof TaskFilesSchema>;

export const FilesSchema = document('exhume-files/1', 'Open files (exhume files --json)', {
  tasks: Type.Array(TaskFilesSchema),
  unmatched: Type.Array(Type.String(), { description: 'Selectors that no task matches' }),
});
export type FilesReport = Static<typeof FilesSchema>;
