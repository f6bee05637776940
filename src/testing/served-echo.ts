import { closeSync, mkdtempSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { connect } from '../device/connect.js';
import { linkOf } from '../device/link.js';
import type { Native } from '../device/native/native.js';
import { GuestRam } from './guest-ram.js';
import type { Passing } from './passing.js';
import { until } from './until.js';
import { Echo } from './virtio-echo.js';

export const SIZE = 0x20000;
export const BASE = 0x100000;

/** A part of a request, `offset` behind where a driver keeps its rings. */
export const part = (offset: number, length: number) => ({ address: BASE + 0x8000 + offset, length });

/** A device that is served on a real socket, and memory for machines that connect to it, which is a file. */
export async function servedEcho(
  t: TestContext,
  native: Native,
  passing: Passing,
  sharing: 'shared' | 'private' = 'shared',
) {
  const directory = mkdtempSync(join(tmpdir(), 'exhume-served-'));
  const path = join(directory, 'socket');
  const device = new Echo();
  const seen = { broken: [] as Error[], silent: 0, memory: [] as string[], closed: [] as (Error | undefined)[] };
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    connect(linkOf(socket, native), device, {
      broken: (error) => seen.broken.push(error),
      silent: () => seen.silent++,
      memory: (by) => seen.memory.push(by),
      closed: (error) => seen.closed.push(error),
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const memory = passing.memory(SIZE, sharing);
  const sockets: Socket[] = [];
  const connection = async (): Promise<Socket> => {
    const socket = createConnection(path);
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    sockets.push(socket);
    return socket;
  };
  const over = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await until(() => seen.closed.length === sockets.length);
    await new Promise((closed) => server.close(closed));
    closeSync(memory.descriptor);
    rmSync(directory, { recursive: true });
  };
  let ended: Promise<void> | undefined;
  /** Ends all connections, and waits until the device has seen it. */
  const end = (): Promise<void> => {
    ended ??= over();
    return ended;
  };
  t.after(end);
  return { native, passing, device, seen, memory, ram: new GuestRam(memory.bytes, BASE), connection, end };
}
