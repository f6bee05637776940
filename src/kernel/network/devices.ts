import { hexBytes, type VirtualAddress } from '../../bytes/address.js';
import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { attempt, collectEach } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import { listEntries } from '../types/lists.js';
import type { Struct } from '../types/struct.js';
import { ipv4At, ipv6At } from './addresses.js';

/** An address of a network interface. */
export interface InterfaceAddress {
  readonly family: 'INET' | 'INET6';
  /** `10.0.2.15`. */
  readonly address: string;
  /** Bits of the network part. */
  readonly prefix: number;
}

/** A network interface; include/linux/netdevice.h. */
export interface NetworkDevice {
  /** Its `struct net_device`. */
  readonly address: VirtualAddress;
  readonly name: string;
  readonly index: number;
  /** `UP BROADCAST RUNNING`, the names of `ifconfig`. */
  readonly flags: readonly string[];
  /** RFC 2863's state as `ip link` prints it; undefined for one that this table does not have. */
  readonly state: string | undefined;
  /** In bytes. */
  readonly mtu: number;
  /** `52:54:00:12:34:56`; undefined for a device without one. */
  readonly hardwareAddress: string | undefined;
  readonly addresses: readonly InterfaceAddress[];
}

const MOST_DEVICES = 65536;
const MOST_ADDRESSES = 65536;

/** IFF_*, include/uapi/linux/if.h. */
const FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [0x1, 'UP'],
  [0x2, 'BROADCAST'],
  [0x4, 'DEBUG'],
  [0x8, 'LOOPBACK'],
  [0x10, 'POINTOPOINT'],
  [0x20, 'NOTRAILERS'],
  [0x40, 'RUNNING'],
  [0x80, 'NOARP'],
  [0x100, 'PROMISC'],
  [0x200, 'ALLMULTI'],
  [0x400, 'MASTER'],
  [0x800, 'SLAVE'],
  [0x1000, 'MULTICAST'],
];
/** IF_OPER_*. */
const STATES = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'];

/** The interfaces of a network namespace, in the order in which the kernel keeps them. */
export function readNetworkDevices(view: KernelView, namespace: Struct, damage: Damage[]): NetworkDevice[] {
  const part = 'network interfaces';
  const devices = attempt(damage, part, () =>
    listEntries(view.memory, namespace.addressOf('dev_base_head'), view.types.requireStruct('net_device'), 'dev_list'),
  );
  return collectEach(damage, part, devices ?? [], (device) => readDevice(view, device, damage), MOST_DEVICES);
}

function readDevice(view: KernelView, device: Struct, damage: Damage[]): NetworkDevice {
  const name = device.string('name');
  const part = `interface ${name}`;
  const flags = device.int('flags');
  return {
    address: device.address,
    name,
    index: device.int('ifindex'),
    flags: FLAGS.filter(([bit]) => (flags & bit) !== 0).map(([, flag]) => flag),
    state: device.has('operstate') ? STATES[device.int('operstate')] : undefined,
    mtu: device.int('mtu'),
    hardwareAddress: attempt(damage, part, () => hardwareAddress(device)),
    addresses: [
      ...(attempt(damage, part, () => ipv4Addresses(view, device)) ?? []),
      ...(attempt(damage, part, () => ipv6Addresses(view, device, damage, part)) ?? []),
    ],
  };
}

/** MAX_ADDR_LEN. */
const LONGEST_ADDRESS = 32;

function hardwareAddress(device: Struct): string | undefined {
  const length = Math.min(device.int('addr_len'), LONGEST_ADDRESS);
  const at = device.pointer('dev_addr');
  if (length === 0 || at === 0n) return undefined;
  return hexBytes(device.memory.bytes(at, length), ':');
}

/** `in_device.ifa_list`, chained by `ifa_next`; include/linux/inetdevice.h. */
function ipv4Addresses(view: KernelView, device: Struct): InterfaceAddress[] {
  const addresses: InterfaceAddress[] = [];
  const internet = device.has('ip_ptr') ? device.pointer('ip_ptr') : 0n;
  if (internet === 0n) return addresses;
  let next: bigint = view.struct('in_device', internet).pointer('ifa_list');
  while (next !== 0n) {
    if (addresses.length >= MOST_ADDRESSES) {
      throw new ExhumeError('EXH_BAD_STRUCTURE', 'a list of addresses does not end', { address: next });
    }
    const entry = view.struct('in_ifaddr', next);
    addresses.push({
      family: 'INET',
      address: ipv4At(view.memory, entry.addressOf('ifa_local')),
      prefix: entry.int('ifa_prefixlen'),
    });
    next = entry.pointer('ifa_next');
  }
  return addresses;
}

/** `inet6_dev.addr_list`; include/net/if_inet6.h. */
function ipv6Addresses(view: KernelView, device: Struct, damage: Damage[], part: string): InterfaceAddress[] {
  const internet = device.has('ip6_ptr') ? device.pointer('ip6_ptr') : 0n;
  const type = view.types.struct('inet6_ifaddr');
  if (internet === 0n || type === undefined) return [];
  const head = view.struct('inet6_dev', internet).addressOf('addr_list');
  return collectEach(
    damage,
    part,
    listEntries(view.memory, head, type, 'if_list'),
    (entry): InterfaceAddress => ({
      family: 'INET6',
      address: ipv6At(view.memory, entry.addressOf('addr')),
      prefix: entry.int('prefix_len'),
    }),
    MOST_ADDRESSES,
  );
}
