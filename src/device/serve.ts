import { lstatSync, unlinkSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { ExhumeError } from '../bytes/errors.js';
import type { NewRecord, RecordStore, Refusal, StoredRecord } from '../pstore/record-store.js';
import { connect } from './connect.js';
import type { Transport } from './events.js';
import { type Link, linkOf } from './link.js';
import { loadNative } from './native/native.js';
import { PstoreDevice } from './pstore-device.js';

/** What happens to a guest's device, for a log. A guest can cause only so many: repeated ones are told once. */
export type DeviceEvent = { readonly guest: string } & (
  | { readonly event: 'listening'; readonly socket: string }
  | { readonly event: 'connected' }
  /** What the machine speaks: its first message has come. */
  | { readonly event: 'transport'; readonly transport: Transport }
  | { readonly event: 'disconnected'; readonly breaks: number; readonly error?: string }
  /** A second machine came to the socket, and was sent away. */
  | { readonly event: 'busy' }
  | { readonly event: 'kept'; readonly id: number; readonly type: number; readonly bytes: number }
  | { readonly event: 'refused'; readonly why: Refusal; readonly bytes: number }
  | { readonly event: 'erased'; readonly id: number; readonly type: number }
  /** The driver broke the rules, for the first time in this connection. */
  | { readonly event: 'broken'; readonly error: string }
  /** The driver waits for interrupts, and will not get any. */
  | { readonly event: 'no-interrupts' }
  /** How the guest's memory is moved, where descriptors of it were passed; and why they are not used, if so. */
  | { readonly event: 'memory'; readonly by: 'descriptors' | 'messages'; readonly why?: string }
);

export interface GuestOptions {
  readonly guest: string;
  /** Path of the Unix socket. It is made for the owner only. */
  readonly socket: string;
  readonly store: RecordStore;
  /** The largest record, in bytes. */
  readonly bufferSize?: number;
  readonly log: (event: DeviceEvent) => void;
}

/** A guest's socket that is being listened on. */
export interface ServedGuest {
  /** Ends the connection, and takes the socket away. */
  close(): Promise<void>;
}

/** Serves one guest's virtio-pstore, over vfio-user or vhost-user: one machine at a time, one after the other. Rejects with EXH_IO, EXH_USAGE. */
export async function serveGuest(options: GuestOptions): Promise<ServedGuest> {
  const { guest, socket: path, log } = options;
  const store = new ToldStore(options.store, guest, log);
  const device = new PstoreDevice(store, options.bufferSize);
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
  await listen(server, path);
  log({ guest, event: 'listening', socket: path });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        current?.close();
      }),
  };
}

/** Tells of what a guest's records come to. Refusals in a row are told once. */
class ToldStore implements RecordStore {
  private refusing = false;

  constructor(
    private readonly store: RecordStore,
    private readonly guest: string,
    private readonly log: (event: DeviceEvent) => void,
  ) {}

  open(): void {
    this.store.open();
  }

  close(): void {
    this.store.close();
  }

  next(): StoredRecord | undefined {
    return this.store.next();
  }

  write(record: NewRecord): { readonly id: number } | { readonly error: Refusal } {
    const outcome = this.store.write(record);
    const { guest } = this;
    const bytes = record.data.length;
    if ('id' in outcome) {
      this.refusing = false;
      this.log({ guest, event: 'kept', id: outcome.id, type: record.type, bytes });
    } else if (!this.refusing) {
      this.refusing = true;
      this.log({ guest, event: 'refused', why: outcome.error, bytes });
    }
    return outcome;
  }

  erase(type: number, id: number): boolean {
    const erased = this.store.erase(type, id);
    if (erased) this.log({ guest: this.guest, event: 'erased', id, type });
    return erased;
  }
}

/** A socket that a killed process left behind is taken away; one that somebody listens on, or another file, is not. */
async function listen(server: Server, path: string): Promise<void> {
  try {
    await bind(server, path);
  } catch (error) {
    if (!isErrno(error, 'EADDRINUSE') || !(await isLeftOver(path))) throw ioError(path, error);
    unlinkSync(path);
    await bind(server, path).catch((again: unknown) => {
      throw ioError(path, again);
    });
  }
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const mask = process.umask(0o077);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(mask);
    }
  });
}

async function isLeftOver(path: string): Promise<boolean> {
  if (!lstatSync(path).isSocket()) return false;
  return new Promise((resolve) => {
    const probe = createConnection(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.on('error', (error) => resolve(isErrno(error, 'ECONNREFUSED')));
  });
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function ioError(path: string, error: unknown): ExhumeError {
  const inUse = isErrno(error, 'EADDRINUSE');
  const why = inUse ? 'something is there already' : error instanceof Error ? error.message : String(error);
  return new ExhumeError('EXH_IO', `cannot listen on ${path}: ${why}`, { file: path }, { cause: error });
}
