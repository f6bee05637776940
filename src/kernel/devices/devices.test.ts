import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Damage } from '../../bytes/errors.js';
import { damagedView } from '../../testing/damaged-view.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { KernelView } from '../kernel-view.js';
import { readDisks } from './disks.js';
import { readBlockMajors, readCharacterDevices } from './numbers.js';
import { readPci } from './pci.js';
import { readMachineLayout, readSystem } from './system.js';

const { kernel } = openSample();
const view = new KernelView(kernel);
const nameOf = (address: bigint | undefined): string | undefined =>
  address === undefined ? undefined : kernel.symbols.at(address)?.symbol.name;

test('device numbers, with the cdevs that were registered with them or by themselves', () => {
  const damage: Damage[] = [];
  const devices = readCharacterDevices(view, damage);
  assert.deepEqual(
    devices.slice(0, 5).map(({ major, firstMinor, name, operations }) => [major, firstMinor, name, nameOf(operations)]),
    [
      [1, 0, 'mem', 'memory_fops'],
      [4, 0, '/dev/vc/0', 'console_fops'],
      [4, 1, 'tty', 'tty_fops'],
      [4, 64, 'ttyS', 'tty_fops'],
      [5, 0, '/dev/tty', 'tty_fops'],
    ],
  );
  assert.equal(devices.find(({ name }) => name === 'nvme')?.operations, undefined);
  assert.deepEqual(readBlockMajors(view, damage), [
    { major: 254, name: 'virtblk' },
    { major: 259, name: 'blkext' },
  ]);
  assert.deepEqual(damage, []);
});

test('disks, and what was read from them', () => {
  const damage: Damage[] = [];
  const disks = readDisks(view, damage);
  assert.deepEqual(damage, []);
  assert.deepEqual(
    disks.map(({ name, major, firstMinor, done }) => [name, major, firstMinor, done]),
    [['vda', 254, 0, { reads: 2101, readSectors: 16808, writes: 11, writtenSectors: 16976 }]],
  );
});

test('PCI devices, as lspci has them', () => {
  const damage: Damage[] = [];
  const [bus, ...others] = readPci(view, damage);
  assert.deepEqual([damage, others], [[], []]);
  assert.equal(bus?.name, '0000:00');
  assert.deepEqual(
    bus?.devices
      .map((one) => `${one.name} ${one.class.toString(16)} ${one.vendor.toString(16)} ${one.driver ?? '-'}`)
      .at(-1),
    '0000:00:02.0 100 1af4 virtio-pci',
  );
});

test('what a kernel knows of its machine', () => {
  const damage: Damage[] = [];
  const { version, ...facts } = readSystem(view, damage);
  assert.deepEqual(facts, {
    nodeName: '(none)',
    release: '7.2.12+deb14-cloud-amd64',
    machine: 'x86_64',
    presentCpus: 2,
    onlineCpus: 1,
    loadAverage: [0, 0, 0],
    memory: 24443 * 4096,
    kilohertz: facts.kilohertz,
  });
  assert.match(version ?? '', /^#1 SMP/);
  const layout = readMachineLayout(view, damage);
  assert.deepEqual([layout.stackSize, layout.vmallocBase, layout.stacks.size], [16384, 0xffffd07640000000n, 2]);
  assert.deepEqual(damage, []);
});

test('tables with anything in them are read to an end, and what is left is told', () => {
  const random = new Random(1991);
  let told = 0;
  for (let round = 0; round < 8; round++) {
    const { view: damaged, write } = damagedView();
    for (const symbol of ['chrdevs', 'major_names', 'cdev_map', 'pci_root_buses', 'class_kset', 'avenrun']) {
      const at = damaged.address(symbol) + BigInt(8 * (symbol.includes('s') ? random.below(6) : 0));
      write(at, random.pick([0x1111n, at, damaged.address('init_task'), 0n]));
    }
    const damage: Damage[] = [];
    for (const read of [readCharacterDevices, readBlockMajors, readPci, readSystem, readMachineLayout])
      read(damaged, damage);
    try {
      readDisks(damaged, damage);
    } catch (error) {
      assert.equal((error as Error).name, 'ExhumeError');
    }
    told += damage.length;
  }
  assert.ok(told > 0);
});
