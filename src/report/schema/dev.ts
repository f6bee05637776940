import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

const Operations = nullable(Type.String(), 'What is called to use it, as a symbol');

const DiskSchema = Type.Object(
  {
    major: Count('Major number'),
    minor: Count('First minor number'),
    name: Text('vda'),
    address: Hex('Of its gendisk'),
    queue: Hex('Of its request_queue'),
    operations: Operations,
    done: nullable(
      Type.Object({
        reads: Count('Requests'),
        readSectors: Count('Sectors of 512 bytes'),
        writes: Count('Requests'),
        writtenSectors: Count('Sectors of 512 bytes'),
      }),
      'What was completed since it came',
    ),
  },
  { description: 'A disk' },
);
export type DiskReport = Static<typeof DiskSchema>;

export const DevSchema = document('exhume-dev/1', 'Devices (exhume dev --json)', {
  characters: Type.Array(
    Type.Object({
      major: Count('Major number'),
      minor: Count('First minor number'),
      minors: Count('How many minor numbers'),
      name: Text('Of the range'),
      cdev: nullable(Hex('Address'), 'Of its cdev'),
      operations: Operations,
    }),
    { description: 'Character devices, by number' },
  ),
  blocks: Type.Array(Type.Object({ major: Count('Major number'), name: Text('Of the driver') }), {
    description: 'Major numbers of block devices',
  }),
  disks: Type.Array(DiskSchema),
  buses: Type.Array(
    Type.Object({
      address: Hex('Of its pci_bus'),
      name: Text('0000:00'),
      root: Type.Boolean({ description: 'It hangs on no other bus' }),
      devices: Type.Array(
        Type.Object({
          address: Hex('Of its pci_dev'),
          name: Text('0000:00:01.0'),
          class: Text('Class and subclass, four hexadecimal digits'),
          id: Text('Vendor and device, hexadecimal: 1af4:1001'),
          type: Text('ENDPOINT, ROOT_PORT, …'),
          driver: nullable(Type.String(), 'Its driver'),
        }),
      ),
    }),
    { description: 'PCI buses; with --pci, else empty' },
  ),
});
export type DevReport = Static<typeof DevSchema>;
