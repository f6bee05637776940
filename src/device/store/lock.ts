import { randomBytes } from 'node:crypto';
import { closeSync, linkSync, lstatSync, mkdirSync, openSync, renameSync, unlinkSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { ExhumeError } from '../../bytes/errors.js';
import { outputError } from '../../bytes/node/output-error.js';
import { isErrno, isLeftOver, listenOn } from '../unix-socket.js';

const LOCK = '.lock';

export interface StoreLock {
  release(): void;
}

/**
 * Keeps other processes of this host from writing to a store. The lock is a socket that this process listens on: it ends
 * with the process, however that ends, and tells also across containers whether somebody holds it. It is made under a
 * name of its own and linked to that of the lock, which only one can do. Makes the directory where there is none.
 * Rejects with EXH_IO, also when the store is in use.
 */
export async function lockStore(directory: string): Promise<StoreLock> {
  let descriptor: number;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    descriptor = openSync(directory, 'r');
  } catch (error) {
    throw outputError(directory, 'lock', error);
  }
  // The path of a socket has 107 bytes at most.
  const at = process.platform === 'linux' ? `/proc/self/fd/${descriptor}` : directory;
  const own = join(at, `${LOCK}-${randomBytes(4).toString('hex')}`);
  const server = createServer((socket: Socket) => socket.destroy());
  try {
    await listenOn(server, own);
    await take(own, join(at, LOCK), directory);
  } catch (error) {
    server.close();
    closeSync(descriptor);
    throw error;
  }
  unlinkSync(own);
  server.unref();
  return {
    release() {
      unlinkIfThere(join(at, LOCK));
      server.close();
      closeSync(descriptor);
    },
  };
}

async function take(own: string, lock: string, directory: string): Promise<void> {
  const dead = `${own}-dead`;
  for (;;) {
    if (linked(own, lock, directory)) return;
    const { ino } = lstatSync(lock, { throwIfNoEntry: false }) ?? {};
    if (ino === undefined) continue;
    if (!(await isLeftOver(lock))) {
      throw new ExhumeError('EXH_IO', `${directory} is in use by another exhume device`, {
        file: directory,
        hint: 'one process serves many guests: give it all their sockets',
      });
    }
    try {
      renameSync(lock, dead);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) continue;
      throw outputError(directory, 'lock', error);
    }
    // Somebody was faster, and it is theirs that was moved away.
    if (lstatSync(dead).ino !== ino) linked(dead, lock, directory);
    unlinkSync(dead);
  }
}

function linked(from: string, to: string, directory: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw outputError(directory, 'lock', error);
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
