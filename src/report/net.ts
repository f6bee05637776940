import { hex } from '../bytes/address.js';
import { type Damage, ExhumeError } from '../bytes/errors.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { type NetworkDevice, readNetworkDevices } from '../kernel/network/devices.js';
import { type OpenSocket, openSockets } from '../kernel/network/sockets.js';
import type { Struct } from '../kernel/types/struct.js';
import { requireView } from './kernel-view.js';
import { chooseTasks } from './processes.js';
import { taskName } from './ps.js';
import type { NetReport, NetworkDeviceReport, SocketReport } from './schema/net.js';
import type { Subject } from './subject.js';
import { damageOf } from './words.js';

export interface NetOptions {
  /** Tell the sockets of tasks in place of the interfaces. */
  readonly sockets?: boolean | undefined;
  /** Whose: pids, addresses and names; every process with sockets when there are none. */
  readonly selectors?: readonly string[];
  /** The task whose network namespace to tell; by default the kernel's first one. */
  readonly namespace?: string | undefined;
}

/** Throws EXH_NO_KERNEL, EXH_NO_LAYOUT, EXH_NO_SYMBOL; EXH_USAGE for a namespace of a task that there is not. */
export function buildNet(subject: Subject, { sockets, selectors = [], namespace }: NetOptions = {}): NetReport {
  const view = requireView(subject);
  const found: Damage[] = [];
  const empty = { devices: null, sockets: null, unmatched: [] };
  const answer = sockets
    ? { ...empty, ...taskSockets(view, selectors, found) }
    : { ...empty, devices: readNetworkDevices(view, namespaceOf(view, namespace), found).map(deviceReport) };
  const damage = damageOf(subject, found);
  const complete = damage.length === 0 && answer.unmatched.length === 0;
  return { schema: 'exhume-net/1', complete, ...answer, damage };
}

function namespaceOf(view: KernelView, selector: string | undefined): Struct {
  if (selector === undefined) return view.variable('init_net', 'net');
  const task = chooseTasks(view, [selector]).tasks[0];
  if (task === undefined) throw new ExhumeError('EXH_USAGE', `no task is ${selector}`, { found: selector });
  const found = view.struct('task_struct', task.address).follow('nsproxy')?.follow('net_ns');
  if (found !== undefined) return found;
  throw new ExhumeError('EXH_BAD_STRUCTURE', `task ${task.pid} has no network namespace any more`, {
    address: task.address,
  });
}

function taskSockets(
  view: KernelView,
  selectors: readonly string[],
  damage: Damage[],
): Pick<NetReport, 'sockets' | 'unmatched'> {
  const chosen = chooseTasks(view, selectors);
  damage.push(...chosen.damage);
  const all = chosen.tasks.map((task) => ({
    task: taskName(task),
    sockets: openSockets(view, view.struct('task_struct', task.address), damage).map(socketReport),
  }));
  const sockets = selectors.length > 0 ? all : all.filter((one) => one.sockets.length > 0);
  return { sockets, unmatched: chosen.unmatched };
}

function deviceReport({ address, ...device }: NetworkDevice): NetworkDeviceReport {
  return {
    device: hex(address),
    name: device.name,
    index: device.index,
    flags: [...device.flags],
    state: device.state ?? null,
    mtu: device.mtu,
    hardwareAddress: device.hardwareAddress ?? null,
    addresses: device.addresses.map((one) => ({ ...one })),
  };
}

function socketReport({ descriptor, ...socket }: OpenSocket): SocketReport {
  return {
    fd: descriptor,
    socket: hex(socket.socket),
    sock: hex(socket.sock),
    inode: String(socket.inode),
    family: socket.family,
    type: socket.type,
    protocol: socket.protocol ?? null,
    state: socket.state ?? null,
    local: socket.local ?? null,
    remote: socket.remote ?? null,
  };
}
