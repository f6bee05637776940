import { readlinkSync, writeSync } from 'node:fs';
import { type Libc, loadLibc } from './libc.js';
import { Poller } from './poller.js';

/** What needs koffi: descriptors that come with messages, and what is done with them. */
export interface Native {
  readonly libc: Libc;
  readonly poller: Poller;
}

let loading: Promise<Native | undefined> | undefined;

/** One for the process; undefined where koffi is not. */
export function loadNative(): Promise<Native | undefined> {
  loading ??= loadLibc().then((libc) => libc && { libc, poller: new Poller(libc) });
  return loading;
}

/** Counters are all that is waited for or written to: other descriptors could hold up who does that. */
export function isEvent(descriptor: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`) === 'anon_inode:[eventfd]';
  } catch {
    return false;
  }
}

const ONE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);

/** Adds 1 to a counter. One that is full has been told already, and would have to be waited for. */
export function signal({ libc }: Native, event: number): void {
  if (libc.writable(event)) writeSync(event, ONE);
}
