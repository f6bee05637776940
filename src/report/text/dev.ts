import type { DevReport } from '../schema/dev.js';
import { printable } from './page.js';
import { columns } from './table-columns.js';

/** How `dev` lays its answer out; crash's options. */
export type DevStyle = 'numbers' | 'pci' | 'disks';

export function* devText(model: DevReport, style: DevStyle): Generator<string> {
  if (style === 'pci') yield* pci(model);
  else if (style === 'disks') yield* disks(model);
  else yield* numbers(model);
}

const NONE = '     (none)     ';

function* numbers({ characters, blocks, disks: all }: DevReport): Generator<string> {
  const row = (major: number, name: string, address: string | null, operations: string | null): string =>
    `${String(major).padStart(4)}      ${printable(name).padEnd(14)} ${address ?? NONE}  ${operations ?? ''}`.trimEnd();
  yield 'CHRDEV    NAME                CDEV        OPERATIONS';
  for (const { major, name, cdev, operations } of characters) {
    yield row(major, name, cdev === null ? null : digits(cdev), operations);
  }
  yield '';
  yield 'BLKDEV    NAME              GENDISK       OPERATIONS';
  for (const { major, name } of blocks) {
    const own = all.filter((disk) => disk.major === major);
    if (own.length === 0) yield row(major, name, null, null);
    for (const disk of own) yield row(major, name, digits(disk.address), disk.operations);
  }
}

function* disks({ disks: all }: DevReport): Generator<string> {
  const cell = (value: number | undefined): string => (value === undefined ? '?' : String(value));
  yield* columns(
    [
      ['MAJOR', 'GENDISK', 'NAME', 'REQUEST_QUEUE', 'READS', 'SECTORS', 'WRITES', 'SECTORS'],
      ...all.map(({ major, address, name, queue, done }) => [
        String(major),
        digits(address),
        name,
        digits(queue),
        cell(done?.reads),
        cell(done?.readSectors),
        cell(done?.writes),
        cell(done?.writtenSectors),
      ]),
    ],
    [1, 2, 3],
  );
}

function* pci({ buses }: DevReport): Generator<string> {
  for (const [index, { address, name, root, devices }] of buses.entries()) {
    if (index > 0) yield '';
    yield root ? '    ROOT BUS     BUSNAME' : '         BUS     BUSNAME';
    yield `${digits(address)} ${printable(name)}`;
    const rows = devices.map((device) => [
      digits(device.address),
      device.name,
      device.class,
      device.id,
      device.type,
      device.driver ?? '',
    ]);
    yield* columns([['PCI DEV', 'DO:BU:SL.FN', 'CLASS', 'PCI_ID', 'TYPE', 'DRIVER'], ...rows], [1, 2, 3, 4, 5]);
  }
}

function digits(hex: string): string {
  return hex.slice(2).padStart(16, '0');
}
