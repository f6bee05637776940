import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { viewOf } from '../bytes/struct-table.js';
import type { GuestRam } from './guest-ram.js';
import { type Descriptor, RingDriver, type Used } from './ring-driver.js';

/** How a driver reaches the registers of its device. */
export interface Registers {
  read(region: number, offset: number, count: number): Promise<Uint8Array>;
  post(region: number, offset: number, bytes: Uint8Array): void;
}

const BAR = 0;
const CONFIG = 7;
/** Bytes from the beginning of one ring to that of the next. */
const RING_STEP = 0x2000;

/** A driver that knows of its device what the capabilities tell, as that of Linux does. */
export class VirtioDriver {
  readonly rings: RingDriver[] = [];
  private windows: number[] = [];

  constructor(
    private readonly registers: Registers,
    private readonly ram: GuestRam,
  ) {}

  /** Finds the windows of the BAR by the capabilities. Answers how many virtio capabilities there are. */
  async find(): Promise<number> {
    const config = viewOf(await this.registers.read(CONFIG, 0, 256));
    let found = 0;
    for (let at = config.getUint8(0x34), steps = 0; at !== 0 && steps < 48; at = config.getUint8(at + 1), steps++) {
      if (config.getUint8(at) !== 9) continue;
      this.windows[config.getUint8(at + 3)] = config.getUint32(at + 8, true);
      found++;
    }
    return found;
  }

  /** Resets it, and waits until it says so. */
  async reset(): Promise<void> {
    this.set(20, 0, 1);
    for (let tries = 0; (await this.get(20, 1)) !== 0; tries++) {
      assert.ok(tries < 10_000, 'the reset never ends');
      await turn();
    }
  }

  /** As a driver starts a device: features, rings from `at` on, DRIVER_OK. */
  async start(at = this.ram.base): Promise<void> {
    await this.find();
    await this.reset();
    this.set(20, 1, 1);
    this.set(20, 3, 1);
    this.set(8, 1, 4);
    this.set(12, 1, 4);
    this.set(20, 11, 1);
    assert.equal(await this.get(20, 1), 11, 'FEATURES_OK stays');
    const queues = await this.get(18, 2);
    this.rings.length = 0;
    for (let index = 0; index < queues; index++) {
      this.set(22, index, 2);
      const ring = new RingDriver(this.ram, at + index * RING_STEP, await this.get(24, 2));
      this.ram.slice(at + index * RING_STEP, RING_STEP).fill(0);
      const { descriptors, available, used } = ring.addresses;
      [descriptors, available, used].forEach((address, which) => {
        this.set(32 + 8 * which, address % 2 ** 32, 4);
        this.set(36 + 8 * which, Math.floor(address / 2 ** 32), 4);
      });
      this.set(28, 1, 2);
      assert.equal(await this.get(28, 2), 1, 'the queue is enabled');
      this.rings.push(ring);
    }
    this.set(20, 15, 1);
  }

  status(): Promise<number> {
    return this.get(20, 1);
  }

  notify(queue: number): void {
    this.registers.post(BAR, (this.windows[2] ?? 0) + 4 * queue, Uint8Array.of(queue, 0));
  }

  /** Sends a request and polls until it comes back, or the device says that it is broken. */
  async request(
    queue: number,
    readable: readonly Descriptor[],
    writable: readonly Descriptor[],
  ): Promise<Used | 'broken'> {
    this.submit(queue, readable, writable);
    return this.used(queue);
  }

  submit(queue: number, readable: readonly Descriptor[], writable: readonly Descriptor[]): void {
    this.rings[queue]?.submit(readable, writable);
    this.notify(queue);
  }

  /** Polls until a request comes back, or the device says that it is broken. */
  async used(queue: number): Promise<Used | 'broken'> {
    const ring = this.rings[queue];
    assert.ok(ring);
    for (;;) {
      const used = ring.collect();
      if (used) return used;
      if ((await this.status()) & 0x40) return 'broken';
      await turn();
    }
  }

  /** A register of the common window. */
  async get(offset: number, width: 1 | 2 | 4): Promise<number> {
    const view = viewOf(await this.registers.read(BAR, (this.windows[1] ?? 0) + offset, width));
    return width === 1 ? view.getUint8(0) : width === 2 ? view.getUint16(0, true) : view.getUint32(0, true);
  }

  set(offset: number, value: number, width: 1 | 2 | 4): void {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, value, true);
    this.registers.post(BAR, (this.windows[1] ?? 0) + offset, bytes.subarray(0, width));
  }

  /** The device's own configuration. */
  config(offset: number, count: number): Promise<Uint8Array> {
    return this.registers.read(BAR, (this.windows[4] ?? 0) + offset, count);
  }
}
