import { ExhumeError } from '../bytes/errors.js';
import { i32, size64, structTable, u16, u32, u64, viewOf } from '../bytes/struct-table.js';
import type { RecordStore, Refusal } from '../pstore/record-store.js';
import type { GuestMemory } from './guest-memory.js';
import { gather, lengthOf, scatter } from './parts.js';
import type { VirtioDevice } from './virtio-device.js';
import type { Chain } from './virtqueue.js';

/**
 * virtio-pstore as the patches of 2016 speak it, versions 2 to 5 (include/uapi/linux/virtio_pstore.h there). All is
 * little-endian. The device decides nothing about files: that is the store's.
 */

const REQUEST = structTable('virtio_pstore_req', 24, {
  command: u16(0),
  type: u16(2),
  flags: u32(4),
  id: size64(8),
  count: u32(16),
});
const RESPONSE = structTable('virtio_pstore_res', 8, { command: u16(0), type: u16(2), result: i32(4) });
const FILE_INFO = structTable('virtio_pstore_fileinfo', 40, {
  id: size64(0),
  count: u32(8),
  type: u16(12),
  flags: u32(16),
  length: u32(20),
  seconds: u64(24),
  nanoseconds: u32(32),
});
const CONFIG = structTable('virtio_pstore_config', 4, { bufferSize: u32(0) });

const OPEN = 1;
const READ = 2;
const WRITE = 3;
const ERASE = 4;
const CLOSE = 5;
const COMPRESSED = 1;

/** As Linux numbers errors. */
const ENOENT = 2;
const EIO = 5;
const EBUSY = 16;
const EINVAL = 22;
const EFBIG = 27;
const ENOSPC = 28;
const REFUSALS: Readonly<Record<Refusal, number>> = {
  quota: ENOSPC,
  full: ENOSPC,
  rate: EBUSY,
  busy: EBUSY,
  io: EIO,
  size: EFBIG,
};

/** Drivers round the size of their buffer up to a page, which is this large on some machines. */
const LARGEST_PAGE = 0x10000;

export const LEAST_BUFFER = 4096;
export const MOST_BUFFER = 1 << 20;
export const USUAL_BUFFER = 16384;

export class PstoreDevice implements VirtioDevice {
  readonly id = 22;
  /** Queue 0 reads and erases, queue 1 writes; either is answered the same. */
  readonly queues = 2;
  readonly queueSize = 128;
  readonly mostBytes: number;
  readonly config: Uint8Array;

  /** `bufferSize`: the largest record, in bytes, from 4096 to 1 MiB. */
  constructor(
    private readonly store: RecordStore,
    private readonly bufferSize = USUAL_BUFFER,
  ) {
    if (!(bufferSize >= LEAST_BUFFER && bufferSize <= MOST_BUFFER)) {
      const message = `a buffer has ${LEAST_BUFFER} to ${MOST_BUFFER} bytes, not ${bufferSize}`;
      throw new ExhumeError('EXH_USAGE', message, { found: bufferSize });
    }
    this.mostBytes = Math.ceil(bufferSize / LARGEST_PAGE) * LARGEST_PAGE + LARGEST_PAGE;
    this.config = new Uint8Array(CONFIG.size);
    CONFIG.write(viewOf(this.config), 0, { bufferSize });
  }

  async handle({ readable, writable }: Chain, memory: GuestMemory): Promise<number> {
    const request = await gather(memory, readable);
    const room = lengthOf(writable);
    if (request.length < REQUEST.size || room < RESPONSE.size) {
      const message = `virtio-pstore: a request of ${request.length} bytes with ${room} bytes for the answer`;
      throw new ExhumeError('EXH_DEVICE_RING', message);
    }
    return scatter(memory, writable, await this.answer(request, room));
  }

  reset(): void {
    this.store.reset();
  }

  private async answer(bytes: Uint8Array, room: number): Promise<Uint8Array> {
    const request = REQUEST.read(viewOf(bytes));
    const { command, type } = request;
    const answer = (result: number) => {
      const response = new Uint8Array(RESPONSE.size);
      RESPONSE.write(viewOf(response), 0, { command, type, result });
      return response;
    };
    switch (command) {
      case OPEN:
        return answer((await this.store.open()) ? 0 : -EBUSY);
      case CLOSE:
        this.store.close();
        return answer(0);
      case ERASE:
        // The kernel forgets that a record was compressed once it has read it: the flags say nothing.
        return answer(Number.isSafeInteger(request.id) && (await this.store.erase(type, request.id)) ? 0 : -ENOENT);
      case WRITE:
        return answer(await this.write(type, request.flags, bytes.subarray(REQUEST.size)));
      case READ:
        if (room < RESPONSE.size + FILE_INFO.size) return answer(-EINVAL);
        return joined(answer(0), await this.read(room - RESPONSE.size - FILE_INFO.size));
      default:
        return answer(-EINVAL);
    }
  }

  private async write(type: number, flags: number, data: Uint8Array): Promise<number> {
    if (data.length === 0) return -EINVAL;
    if (data.length > this.bufferSize) return -EFBIG;
    const outcome = await this.store.write({ type, compressed: (flags & COMPRESSED) !== 0, data });
    return 'error' in outcome ? -REFUSALS[outcome.error] : 0;
  }

  /**
   * The next record that fits, after its description. At the end of the pass nothing follows the response, which is how
   * drivers tell; an empty record would end their pass as well, and half a record is none, so the store passes over both.
   */
  private async read(room: number): Promise<Uint8Array> {
    const record = await this.store.next(room);
    if (record === undefined) return new Uint8Array(0);
    const { id, count, type, compressed, time, data } = record;
    const info = new Uint8Array(FILE_INFO.size);
    FILE_INFO.write(viewOf(info), 0, {
      id,
      count,
      type,
      flags: compressed ? COMPRESSED : 0,
      length: data.length,
      seconds: BigInt.asUintN(64, BigInt(time.seconds)),
      nanoseconds: time.nanoseconds,
    });
    return joined(info, data);
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
