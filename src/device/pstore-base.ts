import { ExhumeError } from '../bytes/errors.js';
import { structTable, u32, viewOf } from '../bytes/struct-table.js';
import type { RecordStore, Written } from '../pstore/record-store.js';
import type { GuestMemory } from './guest-memory.js';
import type { VirtioDevice } from './virtio-device.js';
import type { Chain } from './virtqueue.js';

/** What all versions of virtio-pstore have in common (include/uapi/linux/virtio_pstore.h of the patches of 2016). */
export const COMMAND = { open: 1, read: 2, write: 3, erase: 4, close: 5 } as const;
/** A flag of records. */
export const COMPRESSED = 1;

const CONFIG = structTable('virtio_pstore_config', 4, { bufferSize: u32(0) });

/** Drivers round the size of their buffer up to a page, which is this large on some machines. */
const LARGEST_PAGE = 0x10000;

const LEAST_BUFFER = 4096;
const MOST_BUFFER = 1 << 20;
const USUAL_BUFFER = 16384;

/** A virtio-pstore device apart from what its requests look like. It decides nothing about files: that is the store's. */
export abstract class PstoreBase implements VirtioDevice {
  abstract readonly id: number;
  abstract readonly queues: number;
  readonly queueSize = 128;
  readonly mostBytes: number;
  readonly config: Uint8Array;

  /** `bufferSize`: the largest record, in bytes, from 4096 to 1 MiB. */
  constructor(
    protected readonly store: RecordStore,
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

  abstract handle(chain: Chain, memory: GuestMemory): Promise<number>;

  reset(): void {
    this.store.reset();
  }

  /** Keeps a record that has at least one byte. */
  protected async keep(type: number, flags: number, data: Uint8Array): Promise<Written> {
    if (data.length > this.bufferSize) return { error: 'size' };
    return this.store.write({ type, compressed: (flags & COMPRESSED) !== 0, data });
  }

  /** Whether there was such a record. The kernel forgets that one was compressed once it has read it: flags say nothing. */
  protected async erase(type: number, id: number): Promise<boolean> {
    return Number.isSafeInteger(id) && (await this.store.erase(type, id));
  }
}
