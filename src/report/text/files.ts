import type { FilesReport, OpenFileReport } from '../schema/files.js';
import { type Alignment, columns } from './columns.js';
import { digits16, printable } from './page.js';
import { taskHeader } from './task.js';

/** crash's `files`, or `files -c`: pages in memory. */
export type FilesStyle = 'files' | 'pages';

export function* filesText({ tasks, unmatched }: FilesReport, style: FilesStyle): Generator<string> {
  for (const [index, { task, root, workingDirectory, files }] of tasks.entries()) {
    if (index > 0) yield '';
    yield taskHeader(task);
    yield `ROOT: ${printable(root ?? '?')}    CWD: ${printable(workingDirectory ?? '?')}`;
    if (files.length === 0) yield 'No open files';
    else if (style === 'pages') yield* columns([PAGES_HEAD, ...files.map(pagesRow)], PAGES_ALIGNED);
    else yield* columns([FILES_HEAD, ...files.map(filesRow)], ['right']);
  }
  for (const selector of unmatched) yield `no task is ${printable(selector)}`;
}

const FILES_HEAD = ['FD', '     FILE', '     DENTRY', '     INODE', 'TYPE', 'PATH'];
const PAGES_HEAD = ['FD', '     INODE', '   I_MAPPING', 'NRPAGES', 'TYPE', 'PATH'];
const PAGES_ALIGNED: readonly Alignment[] = ['right', 'left', 'left', 'right'];

function filesRow({ fd, file, dentry, inode, type, path }: OpenFileReport): string[] {
  return [String(fd), digits16(file), digits16(dentry), address(inode), String(type), path];
}

function pagesRow({ fd, inode, mapping, pages, type, path }: OpenFileReport): string[] {
  return [String(fd), address(inode), address(mapping), String(pages ?? '?'), String(type), path];
}

function address(hex: string | null): string {
  return hex === null ? '?' : digits16(hex);
}
