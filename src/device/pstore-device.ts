import { concat } from '../bytes/concat.js';
import { ExhumeError } from '../bytes/errors.js';
import { i32, size64, structTable, u16, u32, u64, viewOf } from '../bytes/struct-table.js';
import type { Refusal } from '../pstore/record-store.js';
import type { GuestMemory } from './guest-memory.js';
import { gather, lengthOf, scatter } from './parts.js';
import { COMMAND, COMPRESSED, PstoreBase } from './pstore-base.js';
import type { Chain } from './virtqueue.js';

/**
 * virtio-pstore as the patches of 2016 speak it, versions 2 to 5 (include/uapi/linux/virtio_pstore.h there). All is
 * little-endian.
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

export class PstoreDevice extends PstoreBase {
  readonly id = 22;
  /** Queue 0 reads and erases, queue 1 writes; either is answered the same. */
  readonly queues = 2;

  async handle({ readable, writable }: Chain, memory: GuestMemory): Promise<number> {
    const request = await gather(memory, readable);
    const room = lengthOf(writable);
    if (request.length < REQUEST.size || room < RESPONSE.size) {
      const message = `virtio-pstore: a request of ${request.length} bytes with ${room} bytes for the answer`;
      throw new ExhumeError('EXH_DEVICE_RING', message);
    }
    return scatter(memory, writable, await this.answer(request, room));
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
      case COMMAND.open:
        return answer((await this.store.open()) ? 0 : -EBUSY);
      case COMMAND.close:
        this.store.close();
        return answer(0);
      case COMMAND.erase:
        return answer((await this.erase(type, request.id)) ? 0 : -ENOENT);
      case COMMAND.write:
        return answer(await this.write(type, request.flags, bytes.subarray(REQUEST.size)));
      case COMMAND.read:
        if (room < RESPONSE.size + FILE_INFO.size) return answer(-EINVAL);
        return concat([answer(0), await this.read(room - RESPONSE.size - FILE_INFO.size)]);
      default:
        return answer(-EINVAL);
    }
  }

  private async write(type: number, flags: number, data: Uint8Array): Promise<number> {
    if (data.length === 0) return -EINVAL;
    const outcome = await this.keep(type, flags, data);
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
    return concat([info, data]);
  }
}
