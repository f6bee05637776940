import { createConnection } from 'node:net';
import type { TestContext } from 'node:test';
import { GuestRam } from './guest-ram.js';
import { PstoreDriver } from './pstore-driver.js';
import { VfioClient } from './vfio-client.js';
import { VirtioDriver } from './virtio-driver.js';

const BASE = 0x100000;

/** A machine that starts on a socket, with the driver in its guest. */
export async function startMachine(t: TestContext, socket: string) {
  const ram = new GuestRam(0x20000, BASE);
  const client = new VfioClient(createConnection(socket), ram);
  t.after(() => client.socket.destroy());
  await client.start();
  const driver = new PstoreDriver(new VirtioDriver(client, ram), ram, BASE + 0x8000);
  await driver.start();
  return { client, driver };
}
