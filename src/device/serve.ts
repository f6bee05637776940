import { createServer, type Socket } from 'node:net';
import type { NewRecord, RecordStore, Written } from '../pstore/record-store.js';
import { connect } from './connect.js';
import { ForwardedRecords } from './forwarded-records.js';
import { type Link, linkOf } from './link.js';
import type { DeviceEvent } from './log-events.js';
import { loadNative } from './native/native.js';
import type { Protocol } from './protocol.js';
import { PstoreDevice } from './pstore-device.js';
import { PstoreDeviceV1 } from './pstore-device-v1.js';
import { listenOn } from './unix-socket.js';

export interface GuestOptions {
  readonly guest: string;
  /** Path of the Unix socket, and its rights: without them for the owner only. */
  readonly socket: string;
  readonly mode?: number;
  readonly store: RecordStore;
  /** The largest record, in bytes. */
  readonly bufferSize?: number;
  /** What the guest's driver speaks; 2 without it. */
  readonly protocol?: Protocol;
  readonly log: (event: DeviceEvent) => void;
}

const DEVICES = { '1': PstoreDeviceV1, '2': PstoreDevice } as const;

/** A guest's socket that is being listened on. */
export interface ServedGuest {
  /** Whether a machine is there. */
  readonly connected: boolean;
  /** Takes the socket away. A machine that is there keeps its device. Resolves when it has gone. */
  retire(): Promise<void>;
  /** Ends the connection, and takes the socket away. */
  close(): Promise<void>;
}

/** Serves one guest's virtio-pstore over vfio-user or vhost-user: one machine at a time, one after the other. Rejects with EXH_IO, EXH_USAGE. */
export async function serveGuest(options: GuestOptions): Promise<ServedGuest> {
  const { guest, socket: path, log } = options;
  const store = new ToldStore(options.store, guest, log);
  const device = new DEVICES[options.protocol ?? '2'](store, options.bufferSize);
  const native = await loadNative();
  let current: Link | undefined;
  const server = createServer({ pauseOnConnect: native !== undefined }, (socket: Socket) => {
    if (current) {
      log({ guest, event: 'busy' });
      socket.destroy();
      return;
    }
    log({ guest, event: 'connected' });
    let breaks = 0;
    current = linkOf(socket, native);
    connect(current, device, {
      speaks: (transport) => log({ guest, event: 'transport', transport }),
      broken: ({ message }) => {
        breaks++;
        if (breaks === 1) log({ guest, event: 'broken', error: message });
      },
      silent: () => log({ guest, event: 'no-interrupts' }),
      memory: (by, why) => log({ guest, event: 'memory', by, ...(why !== undefined && { why }) }),
      closed: (error) => {
        current = undefined;
        log({ guest, event: 'disconnected', breaks, ...(error && { error: error.message }) });
      },
    });
  });
  await listenOn(server, path, options.mode);
  log({ guest, event: 'listening', socket: path });
  let gone: Promise<void> | undefined;
  const retire = (): Promise<void> => {
    gone ??= new Promise((resolve) => server.close(() => resolve()));
    return gone;
  };
  return {
    get connected() {
      return current !== undefined;
    },
    retire,
    close() {
      const closed = retire();
      current?.close();
      return closed;
    },
  };
}

/** Tells of what a guest's records come to. Refusals in a row, of one reason, are told once. */
class ToldStore extends ForwardedRecords {
  private refusing: string | undefined;

  constructor(
    store: RecordStore,
    private readonly guest: string,
    private readonly log: (event: DeviceEvent) => void,
  ) {
    super(store);
  }

  override async write(record: NewRecord): Promise<Written> {
    const outcome = await this.store.write(record);
    const { guest } = this;
    const bytes = record.data.length;
    if ('id' in outcome) {
      this.log({ guest, event: 'kept', id: outcome.id, type: record.type, bytes });
    } else {
      const again = this.refusing === outcome.error;
      const { error: why, problem: error } = outcome;
      this.log({ guest, event: 'refused', why, bytes, again, ...(error !== undefined && { error }) });
    }
    this.refusing = 'error' in outcome ? outcome.error : undefined;
    return outcome;
  }

  override async erase(type: number, id: number): Promise<boolean> {
    const erased = await this.store.erase(type, id);
    if (erased) this.log({ guest: this.guest, event: 'erased', id, type });
    return erased;
  }
}
