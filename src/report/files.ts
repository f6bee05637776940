import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import { directoriesOf, type OpenFile, openFiles } from '../kernel/filesystems/files.js';
import { requireView } from './kernel-view.js';
import { chooseTasks } from './processes.js';
import { taskName } from './ps.js';
import type { FilesReport, OpenFileReport } from './schema/files.js';
import type { Subject } from './subject.js';
import { damageOf } from './words.js';

export interface FilesOptions {
  /** pids, `task_struct` addresses and names; every process when there are none. */
  readonly selectors?: readonly string[];
  /** Only this descriptor, or files whose path, file, dentry or inode this is. */
  readonly reference?: string | undefined;
}

/** What tasks have open. Throws EXH_NO_KERNEL, EXH_NO_LAYOUT, EXH_NO_SYMBOL. */
export function buildFiles(subject: Subject, { selectors = [], reference }: FilesOptions = {}): FilesReport {
  const view = requireView(subject);
  const found: Damage[] = [];
  const { tasks, unmatched, damage: listDamage } = chooseTasks(view, selectors);
  const reports = tasks.map((task) => {
    const struct = view.struct('task_struct', task.address);
    const { root, workingDirectory } = directoriesOf(view, struct, found);
    const files = openFiles(view, struct, found).flatMap((file) => {
      const report = attempt(found, `files of task ${task.pid}`, () => fileReport(file));
      return report === undefined || !isReferred(report, reference) ? [] : [report];
    });
    return { task: taskName(task), root: root ?? null, workingDirectory: workingDirectory ?? null, files };
  });
  const damage = damageOf(subject, [...listDamage, ...found]);
  return {
    schema: 'exhume-files/1',
    complete: damage.length === 0 && unmatched.length === 0,
    tasks: reference === undefined ? reports : reports.filter(({ files }) => files.length > 0),
    unmatched,
    damage,
  };
}

function fileReport({ descriptor, file, dentry, inode, kind, path, ...rest }: OpenFile): OpenFileReport {
  const mapping = file.has('f_mapping') ? file.follow('f_mapping') : undefined;
  return {
    fd: descriptor,
    file: hex(file.address),
    dentry: hex(dentry),
    inode: inode === undefined ? null : hex(inode.address),
    inodeNumber: inode === undefined ? null : String(inode.big('i_ino')),
    mapping: mapping === undefined ? null : hex(mapping.address),
    pages: mapping === undefined ? null : mapping.int('nrpages'),
    type: kind,
    path,
    flags: hex(rest.flags >>> 0),
    position: String(rest.position),
    closeOnExec: rest.closeOnExec,
  };
}

/** crash's `-R`: a descriptor, an address, or a part of the path. */
function isReferred({ fd, path, ...file }: OpenFileReport, reference: string | undefined): boolean {
  if (reference === undefined) return true;
  if (/^\d{1,7}$/.test(reference)) return fd === Number(reference);
  const address = `0x${reference.replace(/^0x/, '')}`;
  return path.includes(reference) || [file.file, file.dentry, file.inode].includes(address);
}
