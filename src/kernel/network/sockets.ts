import type { VirtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { attempt } from '../collect.js';
import { type OpenFile, openFiles } from '../filesystems/files.js';
import type { KernelView } from '../kernel-view.js';
import { containerOf, type Struct } from '../types/struct.js';
import { ipv4At, ipv6At, portAt } from './addresses.js';

/** A socket that a task has open. */
export interface OpenSocket {
  readonly descriptor: number;
  /** Its `struct socket`. */
  readonly socket: VirtualAddress;
  /** Its `struct sock`; 0n for one that was never bound to a protocol. */
  readonly sock: VirtualAddress;
  readonly inode: bigint;
  /** `INET`, `UNIX`; the number of a family that has no name here. */
  readonly family: string;
  /** `STREAM`, `DGRAM`. */
  readonly type: string;
  readonly protocol: number | undefined;
  /** TCP's names for the states of all families: `ESTABLISHED`, `LISTEN`. */
  readonly state: string | undefined;
  /** `10.0.2.15:22`, the path of a UNIX socket, the port of a netlink one. */
  readonly local: string | undefined;
  readonly remote: string | undefined;
}

/** AF_*, include/linux/socket.h. */
const FAMILIES: Readonly<Record<number, string>> = {
  0: 'UNSPEC',
  1: 'UNIX',
  2: 'INET',
  3: 'AX25',
  4: 'IPX',
  5: 'APPLETALK',
  10: 'INET6',
  15: 'KEY',
  16: 'NETLINK',
  17: 'PACKET',
  21: 'RDS',
  29: 'CAN',
  30: 'TIPC',
  31: 'BLUETOOTH',
  38: 'ALG',
  40: 'VSOCK',
  42: 'QIPCRTR',
  43: 'SMC',
  44: 'XDP',
};
/** SOCK_*, include/linux/net.h. */
const TYPES: Readonly<Record<number, string>> = {
  1: 'STREAM',
  2: 'DGRAM',
  3: 'RAW',
  4: 'RDM',
  5: 'SEQPACKET',
  6: 'DCCP',
  10: 'PACKET',
};
/** TCP_*, include/net/tcp_states.h. */
const STATES = [
  undefined,
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
  'NEW_SYN_RECV',
];

/** The sockets among a task's open files. */
export function openSockets(view: KernelView, task: Struct, damage: Damage[]): OpenSocket[] {
  const part = `sockets of task ${task.int('pid')}`;
  return openFiles(view, task, damage)
    .filter((file) => file.kind === 'SOCK')
    .flatMap((file) => attempt(damage, part, () => readSocket(view, file, damage, part)) ?? []);
}

function readSocket(
  view: KernelView,
  { descriptor, inode }: OpenFile,
  damage: Damage[],
  part: string,
): OpenSocket | undefined {
  if (inode === undefined) return undefined;
  const type = view.types.requireStruct('socket_alloc');
  const socket = containerOf(view.memory, type, 'vfs_inode', inode.address).member('socket');
  const sock = socket.follow('sk');
  const family = sock?.int('__sk_common.skc_family') ?? 0;
  const ends = sock === undefined ? undefined : attempt(damage, part, () => endsOf(view, sock, family));
  return {
    descriptor,
    socket: socket.address,
    sock: (sock?.address ?? 0n) as VirtualAddress,
    inode: inode.big('i_ino'),
    family: FAMILIES[family] ?? String(family),
    type: TYPES[socket.int('type')] ?? String(socket.int('type')),
    protocol: sock?.has('sk_protocol') === true ? sock.int('sk_protocol') : undefined,
    state: sock === undefined ? undefined : STATES[sock.int('__sk_common.skc_state')],
    local: ends?.local,
    remote: ends?.remote,
  };
}

interface Ends {
  readonly local: string | undefined;
  readonly remote: string | undefined;
}

function endsOf(view: KernelView, sock: Struct, family: number): Ends {
  switch (FAMILIES[family]) {
    case 'INET':
      return internetEnds(sock, (member) => ipv4At(view.memory, sock.addressOf(`__sk_common.${member}`)), {
        local: 'skc_rcv_saddr',
        remote: 'skc_daddr',
      });
    case 'INET6':
      return internetEnds(sock, (member) => `[${ipv6At(view.memory, sock.addressOf(`__sk_common.${member}`))}]`, {
        local: 'skc_v6_rcv_saddr',
        remote: 'skc_v6_daddr',
      });
    case 'UNIX':
      return unixEnds(view, sock);
    case 'NETLINK':
      return netlinkEnds(view, sock);
    default:
      return { local: undefined, remote: undefined };
  }
}

/** `skc_num` is the local port in the machine's order, `skc_dport` the remote one in the network's. */
function internetEnds(
  sock: Struct,
  text: (member: string) => string,
  members: { local: string; remote: string },
): Ends {
  const local = sock.int('__sk_common.skc_num');
  const remote = portAt(sock.memory, sock.addressOf('__sk_common.skc_dport'));
  return { local: `${text(members.local)}:${local}`, remote: `${text(members.remote)}:${remote}` };
}

/** The name that a UNIX socket is bound to, and that of its peer; include/net/af_unix.h. */
function unixEnds(view: KernelView, sock: Struct): Ends {
  if (view.types.struct('unix_sock') === undefined) return { local: undefined, remote: undefined };
  const peer = view.struct('unix_sock', sock.address).pointer('peer');
  return { local: unixName(view, sock.address), remote: peer === 0n ? undefined : unixName(view, peer) };
}

/** AF_UNIX's `sun_path` follows two bytes of family; a name that begins with NUL is an abstract one, told with `@`. */
const SUN_PATH = 2;
const LONGEST_SUN_PATH = 108;

function unixName(view: KernelView, sock: bigint): string | undefined {
  const address = view.struct('unix_sock', sock).pointer('addr');
  if (address === 0n) return undefined;
  const name = view.struct('unix_address', address);
  const length = Math.min(name.int('len') - SUN_PATH, LONGEST_SUN_PATH);
  if (length <= 0) return undefined;
  const bytes = view.memory.bytes(name.addressOf('name') + BigInt(SUN_PATH), length);
  const text = new TextDecoder().decode(bytes).replace(/\0+$/, '');
  return text.replaceAll('\0', '@');
}

/** The port that a netlink socket is bound to: usually the process's pid. */
function netlinkEnds(view: KernelView, sock: Struct): Ends {
  const type = view.types.struct('netlink_sock');
  if (type === undefined) return { local: undefined, remote: undefined };
  const netlink = sock.as(type);
  return { local: String(netlink.int('portid')), remote: String(netlink.int('dst_portid')) };
}
