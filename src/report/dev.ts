import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import { type Disk, readDisks } from '../kernel/devices/disks.js';
import { readBlockMajors, readCharacterDevices } from '../kernel/devices/numbers.js';
import { type PciDevice, readPci } from '../kernel/devices/pci.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { requireView } from './kernel-view.js';
import type { DevReport, DiskReport } from './schema/dev.js';
import type { Subject } from './subject.js';
import { damageOf } from './words.js';

/** The devices. @param pci the PCI buses, too. Throws EXH_NO_KERNEL, EXH_NO_LAYOUT. */
export function buildDev(subject: Subject, pci = false): DevReport {
  const view = requireView(subject);
  const found: Damage[] = [];
  const operations = (address: bigint | undefined): string | null =>
    address === undefined ? null : (view.kernel.symbols.at(address)?.symbol.name ?? null);
  const characters = attempt(found, 'character devices', () => readCharacterDevices(view, found)) ?? [];
  const answer = {
    characters: characters.map((device) => ({
      major: device.major,
      minor: device.firstMinor,
      minors: device.minors,
      name: device.name,
      cdev: device.cdev === 0n ? null : hex(device.cdev),
      operations: operations(device.operations),
    })),
    blocks: attempt(found, 'block devices', () => readBlockMajors(view, found)) ?? [],
    disks: (attempt(found, 'disks', () => readDisks(view, found)) ?? []).map((disk) => diskReport(disk, operations)),
    buses: pci ? busReports(view, found) : [],
  };
  const damage = damageOf(subject, found);
  return { schema: 'exhume-dev/1', complete: damage.length === 0, ...answer, damage };
}

function diskReport(disk: Disk, operations: (address: bigint) => string | null): DiskReport {
  return {
    major: disk.major,
    minor: disk.firstMinor,
    name: disk.name,
    address: hex(disk.address),
    queue: hex(disk.queue),
    operations: operations(disk.operations),
    done: disk.done === undefined ? null : { ...disk.done },
  };
}

function busReports(view: KernelView, damage: Damage[]): DevReport['buses'] {
  const buses = attempt(damage, 'PCI buses', () => readPci(view, damage)) ?? [];
  return buses.map(({ address, name, root, devices }) => ({
    address: hex(address),
    name,
    root,
    devices: devices.map(deviceReport),
  }));
}

function deviceReport(device: PciDevice): DevReport['buses'][number]['devices'][number] {
  const digits = (value: number): string => value.toString(16).padStart(4, '0');
  return {
    address: hex(device.address),
    name: device.name,
    class: digits(device.class),
    id: `${digits(device.vendor)}:${digits(device.device)}`,
    type: device.type,
    driver: device.driver ?? null,
  };
}
