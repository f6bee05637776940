import assert from 'node:assert/strict';
import { viewOf } from '../bytes/struct-table.js';
import type { GuestRam } from './guest-ram.js';
import type { VirtioDriver } from './virtio-driver.js';

/** What a request says; everything else in it is zero. */
export interface PstoreRequest {
  readonly command: number;
  readonly type?: number;
  readonly flags?: number;
  readonly id?: number | bigint;
}

/** A record as the driver reads it. */
export interface ReadRecord {
  readonly id: number;
  readonly type: number;
  readonly flags: number;
  readonly seconds: bigint;
  readonly nanoseconds: number;
  readonly data: Uint8Array;
}

/** The driver of 2016, on top of the queues: field by field from its header, not from the device's code. */
export class PstoreDriver {
  bufferSize = 0;

  constructor(
    readonly virtio: VirtioDriver,
    private readonly ram: GuestRam,
    /** Where its buffers are. */
    private readonly buffers: number,
  ) {}

  async start(): Promise<void> {
    await this.virtio.start();
    this.bufferSize = viewOf(await this.virtio.config(0, 4)).getUint32(0, true);
  }

  /** OPEN, ERASE or CLOSE: the result. */
  async simple(request: PstoreRequest): Promise<number> {
    this.put(request);
    const used = await this.virtio.request(0, [this.at(0, 24)], [this.at(32, 8)]);
    assert.deepEqual(used, { id: 0, length: 8 });
    return this.result();
  }

  async write(request: PstoreRequest, data: Uint8Array): Promise<number> {
    this.submitWrite(request, data);
    assert.deepEqual(await this.virtio.used(1), { id: 0, length: 8 });
    return this.result();
  }

  /** Sends it, and waits for nothing. */
  submitWrite(request: PstoreRequest, data: Uint8Array): void {
    this.put(request);
    this.ram.slice(this.buffers + 0x1000, data.length).set(data);
    this.virtio.submit(1, [this.at(0, 24), this.at(0x1000, data.length)], [this.at(32, 8)]);
  }

  /** The next record; undefined at the end. */
  async read(): Promise<ReadRecord | undefined> {
    this.put({ command: 2 });
    const parts = [this.at(32, 8), this.at(64, 40), this.at(0x1000, this.bufferSize)];
    const used = await this.virtio.request(0, [this.at(0, 24)], parts);
    assert.ok(used !== 'broken');
    assert.equal(this.result(), 0);
    if (used.length < 48) return undefined;
    const info = viewOf(this.ram.slice(this.buffers + 64, 40));
    const length = info.getUint32(20, true);
    assert.equal(used.length, 48 + length);
    return {
      id: Number(info.getBigUint64(0, true)),
      type: info.getUint16(12, true),
      flags: info.getUint32(16, true),
      seconds: info.getBigUint64(24, true),
      nanoseconds: info.getUint32(32, true),
      data: this.ram.slice(this.buffers + 0x1000, length).slice(),
    };
  }

  private put({ command, type = 0, flags = 0, id = 0 }: PstoreRequest): void {
    const view = viewOf(this.ram.slice(this.buffers, 24));
    view.setUint16(0, command, true);
    view.setUint16(2, type, true);
    view.setUint32(4, flags, true);
    view.setBigUint64(8, BigInt(id), true);
    view.setBigUint64(16, 0n, true);
  }

  private result(): number {
    return viewOf(this.ram.slice(this.buffers + 32, 8)).getInt32(4, true);
  }

  private at(offset: number, length: number) {
    return { address: this.buffers + offset, length };
  }
}
