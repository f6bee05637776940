import { basename } from 'node:path';
import { ExhumeError } from '../bytes/errors.js';
import { type DeviceEvent, serveGuest } from '../device/serve.js';
import { HostStore } from '../pstore/node/store.js';
import type { Surroundings } from './session.js';

export interface DeviceOptions {
  readonly dir: string;
  readonly socket: readonly string[];
  readonly bufferSize?: number;
}

/** Serves guests until a signal says that it is enough. What happens is one JSON object a line on stdout. */
export async function runDevice(options: DeviceOptions, { stdout }: Surroundings): Promise<void> {
  const { bufferSize } = options;
  const guests = guestsOf(options.socket);
  const store = HostStore.open(options.dir);
  const log = (event: DeviceEvent): void => {
    stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`);
  };
  const ended = signal();
  const listening = await Promise.allSettled(
    [...guests].map(([guest, socket]) =>
      serveGuest({ guest, socket, store: store.guest(guest), log, ...(bufferSize !== undefined && { bufferSize }) }),
    ),
  );
  const failed = listening.find((one) => one.status === 'rejected');
  if (!failed) await ended;
  await Promise.all(listening.map((one) => (one.status === 'fulfilled' ? one.value.close() : undefined)));
  if (failed) throw failed.reason;
}

/** A guest is called as its socket is, without `.sock`. */
function guestsOf(sockets: readonly string[]): Map<string, string> {
  const guests = new Map<string, string>();
  for (const socket of sockets) {
    const guest = basename(socket, '.sock');
    const other = guests.get(guest);
    if (other !== undefined) {
      throw new ExhumeError('EXH_USAGE', `${other} and ${socket} name the same guest, ${guest}`, { found: guest });
    }
    guests.set(guest, socket);
  }
  return guests;
}

/** The first SIGINT or SIGTERM. */
function signal(): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => resolve());
  });
}
