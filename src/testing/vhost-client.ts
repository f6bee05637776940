import assert from 'node:assert/strict';
import { readSync, writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { viewOf } from '../bytes/struct-table.js';
import { FrameReader } from '../device/frames.js';
import * as wire from '../device/vhost-user/protocol.js';
import type { GuestRam } from './guest-ram.js';
import type { Passing } from './passing.js';
import { type Descriptor, RingDriver, type Used } from './ring-driver.js';
import { until } from './until.js';

/** Where the machine's process has its memory. */
const USER = 0x7f00_0000_0000;
/** Bytes from the beginning of one ring to that of the next. */
const RING_STEP = 0x2000;

/** The end of vhost-user that QEMU has, with a driver in its guest: rings at the beginning of the memory. */
export class VhostClient {
  readonly rings: RingDriver[] = [];
  /** As it stands in the order of rings. */
  kicks: number[] = [];
  calls: number[] = [];
  private readonly reader = new FrameReader(wire.FRAMING);
  private readonly replies: Uint8Array[] = [];
  private closed = false;

  constructor(
    readonly socket: Socket,
    private readonly passing: Passing,
    readonly ram: GuestRam,
    private readonly file: number,
    private readonly newEvent: () => number,
  ) {
    socket.on('data', (chunk: Uint8Array) => this.replies.push(...this.reader.push(chunk)));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
  }

  post(request: number, payload: Uint8Array, descriptors: readonly number[] = [], flags = wire.VERSION): void {
    const bytes = new Uint8Array(wire.HEADER.size + payload.length);
    wire.HEADER.write(viewOf(bytes), 0, { request, flags, size: payload.length });
    bytes.set(payload, wire.HEADER.size);
    this.passing.send(this.socket, bytes, descriptors);
  }

  /** The payload of the next reply. */
  async reply(request: number): Promise<Uint8Array> {
    await until(() => {
      assert.ok(!this.closed, 'the device closed the connection');
      return this.replies.length > 0;
    });
    const bytes = this.replies.shift() ?? new Uint8Array(0);
    const header = wire.HEADER.read(viewOf(bytes));
    assert.deepEqual(header, { request, flags: wire.VERSION | wire.REPLY, size: bytes.length - wire.HEADER.size });
    return bytes.subarray(wire.HEADER.size);
  }

  async ask(request: number, payload: Uint8Array = new Uint8Array(0)): Promise<Uint8Array> {
    this.post(request, payload);
    return this.reply(request);
  }

  /** Whether the device says that it went well. */
  async acknowledged(request: number, payload: Uint8Array, descriptors: readonly number[] = []): Promise<boolean> {
    this.post(request, payload, descriptors, wire.VERSION | wire.NEED_REPLY);
    return viewOf(await this.reply(request)).getBigUint64(0, true) === 0n;
  }

  /** As QEMU begins: what both can. */
  async greet(): Promise<void> {
    const features = viewOf(await this.ask(wire.REQUEST.getFeatures)).getBigUint64(0, true);
    assert.equal(features, wire.F_VERSION_1 | wire.F_PROTOCOL_FEATURES);
    const protocol = viewOf(await this.ask(wire.REQUEST.getProtocolFeatures)).getBigUint64(0, true);
    this.post(wire.REQUEST.setProtocolFeatures, u64(protocol));
    assert.equal(viewOf(await this.ask(wire.REQUEST.getQueueCount)).getBigUint64(0, true), 2n);
    this.post(wire.REQUEST.setOwner, new Uint8Array(0));
  }

  memoryTable(changes: { regions?: number; address?: number; size?: number; offset?: number } = {}): Uint8Array {
    const bytes = new Uint8Array(wire.MEMORY_TABLE.size + wire.REGION.size);
    wire.MEMORY_TABLE.write(viewOf(bytes), 0, { regions: changes.regions ?? 1 });
    const { base, bytes: memory } = this.ram;
    const region = { address: base, size: memory.length, userAddress: USER, offset: 0, ...changes };
    const { regions: _, ...fields } = { regions: 0, ...region };
    wire.REGION.write(viewOf(bytes), wire.MEMORY_TABLE.size, fields);
    return bytes;
  }

  /** As QEMU starts a device that a driver has set up; rings go on at `bases`, or are new. */
  async start(bases?: readonly number[]): Promise<void> {
    this.post(wire.REQUEST.setFeatures, u64(wire.F_VERSION_1 | wire.F_PROTOCOL_FEATURES));
    assert.ok(await this.acknowledged(wire.REQUEST.setMemoryTable, this.memoryTable(), [this.file]));
    if (!bases) this.rings.length = 0;
    for (const index of [0, 1]) {
      const at = this.ram.base + index * RING_STEP;
      if (!bases) {
        this.ram.slice(at, RING_STEP).fill(0);
        this.rings.push(new RingDriver(this.ram, at));
      }
      this.kicks[index] ??= this.newEvent();
      this.calls[index] ??= this.newEvent();
      this.startRing(index, bases?.[index] ?? 0);
    }
    for (const index of [0, 1]) this.post(wire.REQUEST.setRingEnable, state(index, 1));
  }

  startRing(index: number, base: number): void {
    const ring = this.rings[index];
    assert.ok(ring);
    this.post(wire.REQUEST.setRingSize, state(index, ring.size));
    this.post(wire.REQUEST.setRingBase, state(index, base));
    const { descriptors, available, used } = ring.addresses;
    const user = (address: number) => address - this.ram.base + USER;
    const addresses = new Uint8Array(wire.RING_ADDRESS.size);
    wire.RING_ADDRESS.write(viewOf(addresses), 0, {
      index,
      flags: 0,
      descriptors: user(descriptors),
      available: user(available),
      used: user(used),
    });
    this.post(wire.REQUEST.setRingAddress, addresses);
    this.post(wire.REQUEST.setRingKick, u64(BigInt(index)), [this.kicks[index] ?? -1]);
    this.post(wire.REQUEST.setRingCall, u64(BigInt(index)), [this.calls[index] ?? -1]);
  }

  /** Where each ring goes on. */
  async stop(): Promise<number[]> {
    const bases: number[] = [];
    for (const index of [0, 1]) {
      this.post(wire.REQUEST.setRingEnable, state(index, 0));
      const reply = await this.ask(wire.REQUEST.getRingBase, state(index, 0));
      assert.equal(viewOf(reply).getUint32(0, true), index);
      bases.push(viewOf(reply).getUint32(4, true));
    }
    return bases;
  }

  kick(queue: number): void {
    writeSync(this.kicks[queue] ?? -1, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
  }

  /** How many interrupts were raised since the last look. */
  called(queue: number): number {
    const bytes = new Uint8Array(8);
    try {
      readSync(this.calls[queue] ?? -1, bytes, 0, 8, null);
    } catch {
      return 0;
    }
    return Number(viewOf(bytes).getBigUint64(0, true));
  }

  /** Sends a request and waits until it comes back, or `broken` says that it will not. */
  async request(
    queue: number,
    readable: readonly Descriptor[],
    writable: readonly Descriptor[],
    broken = () => false,
  ): Promise<Used | 'broken'> {
    const ring = this.rings[queue];
    assert.ok(ring);
    ring.submit(readable, writable);
    this.kick(queue);
    let used: Used | undefined;
    await until(() => {
      used = ring.collect();
      return used !== undefined || broken();
    });
    return used ?? 'broken';
  }
}

export function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, value, true);
  return bytes;
}

/** The payload of a message about a ring. */
export function state(index: number, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setUint32(0, index, true);
  viewOf(bytes).setUint32(4, value, true);
  return bytes;
}
