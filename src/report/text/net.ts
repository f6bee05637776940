import type { NetReport, NetworkDeviceReport, TaskSocketsReport } from '../schema/net.js';
import { columns } from './columns.js';
import { digits16, printable } from './page.js';
import { taskHeader } from './task.js';

export function* netText({ devices, sockets, unmatched }: NetReport): Generator<string> {
  if (devices !== null) yield* deviceTable(devices);
  for (const [index, one] of (sockets ?? []).entries()) {
    if (index > 0) yield '';
    yield* socketTable(one);
  }
  if (sockets !== null && sockets.length === 0) yield 'No open sockets.';
  for (const selector of unmatched) yield `no task is ${printable(selector)}`;
}

function* deviceTable(devices: readonly NetworkDeviceReport[]): Generator<string> {
  yield* columns([
    ['   NET_DEVICE', 'NAME', 'STATE', 'HWADDR', 'IP ADDRESS(ES)'],
    ...devices.map(({ device, name, flags, state, hardwareAddress, addresses }) => [
      digits16(device),
      name,
      flags.includes('UP') ? `UP/${state ?? '?'}` : `DOWN/${state ?? '?'}`,
      hardwareAddress ?? '-',
      addresses.map(({ address, prefix }) => `${address}/${prefix}`).join(', '),
    ]),
  ]);
}

function* socketTable({ task, sockets }: TaskSocketsReport): Generator<string> {
  yield taskHeader(task);
  if (sockets.length === 0) {
    yield 'No open sockets.';
    return;
  }
  yield* columns(
    [
      ['FD', '     SOCKET', '      SOCK', 'FAMILY:TYPE', 'STATE', 'SOURCE-PORT', 'DESTINATION-PORT'],
      ...sockets.map(({ fd, socket, sock, family, type, state, local, remote }) => [
        String(fd),
        digits16(socket),
        digits16(sock),
        `${family}:${type}`,
        state ?? '-',
        local ?? '-',
        remote ?? '-',
      ]),
    ],
    ['right'],
  );
}
