import type { MountReport, MountsReport } from '../schema/mount.js';
import { columns } from './columns.js';
import { digits16, printable } from './page.js';
import { taskHeader } from './task.js';

/** crash's table, or lines as in /proc/mounts. */
export type MountStyle = 'table' | 'proc';

export function* mountText(model: MountsReport, style: MountStyle, named: boolean): Generator<string> {
  if (style === 'proc') {
    for (const mount of model.mounts) if (mount.seenAt !== null) yield printable(procLine(mount, mount.seenAt));
    return;
  }
  if (named && model.task !== null) yield taskHeader(model.task);
  yield* columns([
    ['     MOUNT', '    SUPERBLK', 'TYPE', 'DEVNAME', 'DIRNAME'],
    ...model.mounts.map(({ mount, superblock, type, device, directory }) => [
      digits16(mount),
      digits16(superblock),
      type,
      device,
      directory,
    ]),
  ]);
}

/** As `show_vfsmnt()` prints it, without what only the file system itself can tell. */
function procLine({ device, type, options }: MountReport, directory: string): string {
  return `${mangle(device)} ${mangle(directory)} ${type} ${options.join(',')} 0 0`;
}

/** Spaces and what else would break a line are written as octal numbers: `mangle()`. */
function mangle(text: string): string {
  return text.replace(/[ \t\n\\#]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`);
}
