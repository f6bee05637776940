import { ExhumeError } from '../bytes/errors.js';
import { size64, structTable, u16, u32, u64, viewOf } from '../bytes/struct-table.js';
import type { GuestMemory } from './guest-memory.js';
import { gather, lengthOf, scatter } from './parts.js';
import { COMMAND, COMPRESSED, PstoreBase } from './pstore-base.js';
import type { Chain } from './virtqueue.js';

/** Before every request, and where the description of a record that is read goes (virtio_pstore.h of version 1). */
const HEADER = structTable('virtio_pstore_hdr', 32, {
  id: size64(0),
  flags: u32(8),
  command: u16(12),
  type: u16(14),
  seconds: u64(16),
  nanoseconds: u32(24),
});

/**
 * virtio-pstore as version 1 of the patches of 2016 speaks it: one queue, and no answers but the number of bytes that
 * were read. What is refused looks like what is done. Drivers look for the description of a record in the header that
 * they gave to be read, so it is written there. Their ids are their own; a record has the one that reading it tells.
 */
export class PstoreDeviceV1 extends PstoreBase {
  /** The number that it had then; today it is that of another device. */
  readonly id = 19;
  readonly queues = 1;

  async handle({ readable, writable }: Chain, memory: GuestMemory): Promise<number> {
    const request = await gather(memory, readable);
    if (request.length < HEADER.size) {
      throw new ExhumeError('EXH_DEVICE_RING', `virtio-pstore 1: a request of ${request.length} bytes`);
    }
    const { command, type, flags, id } = HEADER.read(viewOf(request));
    switch (command) {
      case COMMAND.open:
        await this.store.open();
        return 0;
      case COMMAND.close:
        this.store.close();
        return 0;
      case COMMAND.erase:
        await this.erase(type, id);
        return 0;
      case COMMAND.write:
        if (request.length > HEADER.size) await this.keep(type, flags, request.subarray(HEADER.size));
        return 0;
      case COMMAND.read:
        return this.read(request.subarray(0, HEADER.size), { readable, writable }, memory);
      default:
        return 0;
    }
  }

  private async read(header: Uint8Array, parts: Omit<Chain, 'head'>, memory: GuestMemory): Promise<number> {
    const record = await this.store.next(lengthOf(parts.writable));
    if (record === undefined) return 0;
    const { id, type, compressed, time, data } = record;
    HEADER.write(viewOf(header), 0, {
      id,
      flags: compressed ? COMPRESSED : 0,
      type,
      seconds: BigInt.asUintN(64, BigInt(time.seconds)),
      nanoseconds: time.nanoseconds,
    });
    await scatter(memory, parts.readable, header);
    return scatter(memory, parts.writable, data);
  }
}
