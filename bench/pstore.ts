/**
 * `npm run bench:pstore`: how long a guest takes to leave its log behind in a panic, by way and size; how many requests
 * `exhume device` answers, and how much memory it takes. `--write` puts the tables into bench/README.md.
 */

import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { labPath } from '../lab/directories.js';
import { chatter, FIRST, FOREVER, MOUNT } from '../lab/e2e/last-words.js';
import { CRASH, command, type LastWords, withGuest } from '../lab/last-words.js';
import type { PstoreHost } from '../lab/pstore-host.js';
import { viewOf } from '../src/bytes/struct-table.js';
import { GuestRam } from '../src/testing/guest-ram.js';
import { VfioClient } from '../src/testing/vfio-client.js';
import { VirtioDriver } from '../src/testing/virtio-driver.js';
import { circumstances, columns, publish, row } from './readme.js';

const ROUNDS = 3;
const KIB = 1024;
const MIB = 1024 * KIB;
const BOOT_SECONDS = 600;

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** What the kernel logs before anything is added. */
const BOOT_LOG = 28_000;
const SIZES = [64 * KIB, 256 * KIB, MIB];

interface Way {
  readonly name: string;
  readonly words: Omit<LastWords, 'name' | 'kernel' | 'script'>;
}

/** The console has shown the log before; in a panic the kernel shows it once more when it is told to (bit 5). */
const SERIAL: Way = { name: 'serial console', words: { without: true, commandLine: ['panic_print=32'] } };
const WAYS: readonly Way[] = [
  { name: 'virtio-pstore', words: {} },
  {
    name: 'ERST',
    words: {
      without: true,
      commandLine: ['pstore.backend=erst'],
      qemu: (directory) => [
        ...['-object', `memory-backend-file,id=erst,share=on,size=8M,mem-path=${join(directory, 'erst.memory')}`],
        ...['-device', 'acpi-erst,memdev=erst'],
      ],
    },
  },
  SERIAL,
];

interface Panic {
  /** By the host's clock: from the last line before anything is written until all is. The guest's may stand still. */
  readonly seconds: number;
  /** What the console showed of the log in its boot: what is to be left behind. */
  readonly logBytes: number;
}

/** One guest, one panic. */
async function panics(way: Way, size: number): Promise<Panic> {
  const directory = labPath('scratch', `bench-pstore-${process.pid}`);
  const { files, commandLine, log } = chatter(size - BOOT_LOG);
  const script = `
${MOUNT}
${log}
echo "${FIRST}"
sleep 1
${CRASH}
${FOREVER}
`;
  const given = [commandLine, 'log_buf_len=4M', 'panic=1', 'nokaslr', ...(way.words.commandLine ?? [])];
  const words: LastWords = { ...way.words, name: 'guest', kernel: '6.1', script, files, commandLine: given };
  const host = await command()(directory, [words.name]);
  try {
    return await withGuest(words, directory, host.socket(words.name), async ({ guest }) => {
      await guest.waitFor('] Kernel Offset', BOOT_SECONDS);
      const start = performance.now();
      await guest.waitFor('] Rebooting in', BOOT_SECONDS);
      const seconds = (performance.now() - start) / 1000;
      return { seconds, logBytes: guest.console.indexOf('] Kernel Offset') };
    });
  } finally {
    await host.stop();
    rmSync(directory, { recursive: true });
  }
}

const BITS_PER_BYTE = 10;
const BAUD = 115_200;

async function panicTable(): Promise<string[]> {
  const lines: string[] = [];
  for (const size of SIZES) {
    const runs = new Map<Way, Panic[]>(WAYS.map((way) => [way, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const way of WAYS) runs.get(way)?.push(await panics(way, size));
    }
    const seconds = (way: Way): number => median((runs.get(way) ?? []).map((panic) => panic.seconds));
    const bytes = median((runs.get(SERIAL) ?? []).map(({ logBytes }) => logBytes));
    const line = row(
      `${Math.round(bytes / KIB)} KiB`,
      ...WAYS.map((way) => `${seconds(way).toFixed(2)} s`),
      `${((bytes * BITS_PER_BYTE) / BAUD).toFixed(1)} s`,
    );
    console.error(line);
    lines.push(line);
  }
  return [...columns('log', ...WAYS.map(({ name }) => name), 'serial console, 115200 baud (computed)'), ...lines];
}

/** A machine's end of a device: its memory, and a driver that knows two requests. */
class Machine {
  private constructor(
    readonly client: VfioClient,
    private readonly ram: GuestRam,
    private readonly driver: VirtioDriver,
  ) {}

  static async connect(path: string): Promise<Machine> {
    const ram = new GuestRam(256 * KIB, 1 << 20);
    const socket = createConnection(path);
    const client = new VfioClient(socket, ram);
    await client.start();
    const driver = new VirtioDriver(client, ram);
    await driver.start();
    return new Machine(client, ram, driver);
  }

  /** A request of virtio-pstore on one of the queues, with data or without. */
  async request(command: number, queue: number, data = 0): Promise<void> {
    const request = this.ram.base + 0x10000;
    const response = request + 0x100;
    const payload = request + 0x1000;
    const view = viewOf(this.ram.slice(request, 24));
    view.setUint16(0, command, true);
    view.setUint16(2, 1, true);
    const readable = [{ address: request, length: 24 }, ...(data > 0 ? [{ address: payload, length: data }] : [])];
    await this.driver.request(queue, readable, [{ address: response, length: 8 }]);
    assert.equal(viewOf(this.ram.slice(response, 8)).getInt32(4, true), 0, 'the device refuses it');
  }
}

const OPEN = 1;
const WRITE = 3;
const REQUESTS = 2000;
const WRITES = 500;
const RECORD = 10_000;
const MACHINES = 40;
const NO_LIMITS = ['--rate', '1G', '--burst', '1G', '--total-quota', '4G', '--guest-quota', '4G'];

function residentMegabytes(host: PstoreHost): string {
  const kibibytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${host.pid}/status`, 'latin1'))?.[1]);
  return `${Math.round((kibibytes * KIB) / 1e6)} MB`;
}

/** So many requests, shared out among the machines: how many each second. */
async function perSecond(machines: readonly Machine[], all: number, request: (machine: Machine) => Promise<void>) {
  const each = Math.ceil(all / machines.length);
  const start = performance.now();
  await Promise.all(
    machines.map(async (machine) => {
      for (let i = 0; i < each; i++) await request(machine);
    }),
  );
  return ((each * machines.length) / (performance.now() - start)) * 1000;
}

/** No guests and no QEMU: the other end of each socket is in this process. */
async function deviceTable(): Promise<string[]> {
  const directory = labPath('scratch', `bench-device-${process.pid}`);
  const names = Array.from({ length: MACHINES }, (_, i) => `machine${i}`);
  const host = await command(...NO_LIMITS)(directory, names);
  const machines: Machine[] = [];
  const lines = columns('', 'nothing connected', ...[1, MACHINES].map((count) => `${count} connected`));
  const memory = [residentMegabytes(host)];
  const rates: Record<string, string[]> = { open: ['–'], write: ['–'] };
  try {
    for (const count of [1, MACHINES]) {
      while (machines.length < count) machines.push(await Machine.connect(host.socket(names[machines.length] ?? '')));
      memory.push(residentMegabytes(host));
      const opens = await perSecond(machines, REQUESTS, (machine) => machine.request(OPEN, 0));
      const writes = await perSecond(machines, WRITES, (machine) => machine.request(WRITE, 1, RECORD));
      rates['open']?.push(`${Math.round(opens)}`);
      rates['write']?.push(`${Math.round(writes)}`);
    }
  } finally {
    for (const { client } of machines) client.socket.destroy();
    await host.stop();
    rmSync(directory, { recursive: true });
  }
  lines.push(row('resident memory', ...memory));
  lines.push(row('requests without data, each second', ...(rates['open'] ?? [])));
  lines.push(row(`records of ${RECORD} bytes written, each second`, ...(rates['write'] ?? [])));
  return lines;
}

const machine = circumstances(ROUNDS);
publish('last words', [machine, '', ...(await panicTable()), '', ...(await deviceTable())]);
