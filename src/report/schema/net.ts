import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';
import { TaskNameSchema } from './ps.js';

export const NetworkDeviceSchema = Type.Object(
  {
    device: Hex('Address of its struct net_device'),
    name: Text('eth0'),
    index: Count('Its number'),
    flags: Type.Array(Type.String(), { description: 'UP, BROADCAST, LOOPBACK, RUNNING, …' }),
    state: nullable(Type.String(), 'up, down, unknown, …: the operational state'),
    mtu: Count('In bytes'),
    hardwareAddress: nullable(Type.String(), 'Its MAC address'),
    addresses: Type.Array(
      Type.Object({
        family: Type.Enum(['INET', 'INET6']),
        address: Text('10.0.2.15, fe80::1'),
        prefix: Count('Bits of the network part'),
      }),
    ),
  },
  { description: 'A network interface' },
);
export type NetworkDeviceReport = Static<typeof NetworkDeviceSchema>;

export const SocketSchema = Type.Object(
  {
    fd: Count('The descriptor'),
    socket: Hex('Address of its struct socket'),
    sock: Hex('Address of its struct sock; 0x0 when it has none'),
    inode: Text('The number in the links of /proc/PID/fd; in decimal'),
    family: Text('UNIX, INET, INET6, NETLINK, PACKET, …'),
    type: Text('STREAM, DGRAM, RAW, SEQPACKET, …'),
    protocol: nullable(Count('IPPROTO_* or the like'), 'Its protocol'),
    state: nullable(Type.String(), 'ESTABLISHED, LISTEN, CLOSE, …'),
    local: nullable(Type.String(), 'ADDRESS:PORT, a path, a netlink port'),
    remote: nullable(Type.String(), 'The same of the other end'),
  },
  { description: 'An open socket' },
);
export type SocketReport = Static<typeof SocketSchema>;

export const TaskSocketsSchema = Type.Object({
  task: TaskNameSchema,
  sockets: Type.Array(SocketSchema, { description: 'By descriptor' }),
});
export type TaskSocketsReport = Static<typeof TaskSocketsSchema>;

export const NetSchema = document('exhume-net/1', 'Network (exhume net --json)', {
  devices: Type.Union([Type.Array(NetworkDeviceSchema), Type.Null()], {
    description: 'The interfaces of a network namespace; null with -s',
  }),
  sockets: Type.Union([Type.Array(TaskSocketsSchema), Type.Null()], {
    description: 'With -s: the sockets of tasks that have any, or that were named',
  }),
  unmatched: Type.Array(Type.String(), { description: 'Selectors that no task matches' }),
});
export type NetReport = Static<typeof NetSchema>;
