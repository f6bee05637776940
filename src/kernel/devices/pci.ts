import type { VirtualAddress } from '../../bytes/address.js';
import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { attempt, collect, collectEach } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import { listEntries } from '../types/lists.js';
import type { Struct } from '../types/struct.js';

/** 256 buses in each of 65,536 domains are more than any machine has: this many. */
const MOST_BUSES = 1 << 16;
const MOST_DEVICES = 256;
/** Buses below buses. */
const DEEPEST = 256;

/** A device on a PCI bus: `struct pci_dev`, include/linux/pci.h. */
export interface PciDevice {
  readonly address: VirtualAddress;
  /** `0000:00:01.0`: domain, bus, device, function. */
  readonly name: string;
  /** Class and subclass. */
  readonly class: number;
  readonly vendor: number;
  readonly device: number;
  /** crash's word for the type of its PCI Express port. */
  readonly type: string;
  /** The driver that has it. */
  readonly driver: string | undefined;
}

/** A PCI bus: `struct pci_bus`. */
export interface PciBus {
  readonly address: VirtualAddress;
  /** `0000:00`. */
  readonly name: string;
  readonly root: boolean;
  readonly devices: readonly PciDevice[];
}

/** PCI_EXP_TYPE_*, include/uapi/linux/pci_regs.h; devices without PCI Express have 0. */
const TYPES: Readonly<Record<number, string>> = {
  0: 'ENDPOINT',
  1: 'LEG_END',
  4: 'ROOT_PORT',
  5: 'UPSTREAM',
  6: 'DOWNSTREAM',
  7: 'PCI_BRIDGE',
  8: 'PCIX_BRIDGE',
  9: 'RC_END',
  10: 'RC_EC',
};

/** The buses from `pci_root_buses` down, each with its devices. Throws EXH_NO_SYMBOL, EXH_NO_LAYOUT; the rest is damage. */
export function readPci(view: KernelView, damage: Damage[]): PciBus[] {
  const buses: PciBus[] = [];
  const type = view.types.requireStruct('pci_bus');
  const visit = (bus: Struct, depth: number): void => {
    if (depth > DEEPEST || buses.length >= MOST_BUSES) {
      throw new ExhumeError('EXH_BAD_STRUCTURE', 'buses go on below buses without end', { address: bus.address });
    }
    buses.push({
      address: bus.address,
      name: bus.string('dev.kobj.name', 32),
      root: depth === 0,
      devices: devicesOf(view, bus, damage),
    });
    const children = listEntries(view.memory, bus.addressOf('children'), type, 'node');
    for (const child of collect(damage, 'PCI buses', children, MOST_BUSES)) {
      attempt(damage, 'PCI buses', () => visit(child, depth + 1));
    }
  };
  const roots = listEntries(view.memory, view.address('pci_root_buses'), type, 'node');
  for (const root of collect(damage, 'PCI buses', roots, MOST_BUSES)) {
    attempt(damage, 'PCI buses', () => visit(root, 0));
  }
  return buses;
}

function devicesOf(view: KernelView, bus: Struct, damage: Damage[]): PciDevice[] {
  const type = view.types.requireStruct('pci_dev');
  const entries = listEntries(view.memory, bus.addressOf('devices'), type, 'bus_list');
  return collectEach(
    damage,
    'PCI devices',
    entries,
    (one) => ({
      address: one.address,
      name: one.string('dev.kobj.name', 32),
      class: one.int('class') >>> 8,
      vendor: one.int('vendor'),
      device: one.int('device'),
      type: (one.has('pcie_flags_reg') && TYPES[(one.int('pcie_flags_reg') >> 4) & 0xf]) || 'ENDPOINT',
      driver: attempt(damage, 'PCI devices', () => one.follow('driver')?.string('name', 64)),
    }),
    MOST_DEVICES,
  );
}
