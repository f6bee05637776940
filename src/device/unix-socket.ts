import { lstatSync, unlinkSync } from 'node:fs';
import { createConnection, type Server } from 'node:net';
import { ExhumeError, messageOf } from '../bytes/errors.js';

/** For the owner only. */
export const OWNER_ONLY = 0o600;

/**
 * Listens on a Unix socket that is made with these rights. A socket that a killed process left behind is taken away; one
 * that somebody listens on, or another file, is not. Rejects with EXH_IO.
 */
export async function listenOn(server: Server, path: string, mode = OWNER_ONLY): Promise<void> {
  try {
    await bind(server, path, mode);
  } catch (error) {
    if (!isErrno(error, 'EADDRINUSE') || !(await isLeftOver(path))) throw ioError(path, error);
    unlinkSync(path);
    await bind(server, path, mode).catch((again: unknown) => {
      throw ioError(path, again);
    });
  }
}

function bind(server: Server, path: string, mode: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const mask = process.umask(0o777 & ~mode);
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

/** Whether there is a socket that nobody listens on. */
export async function isLeftOver(path: string): Promise<boolean> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false;
  return new Promise((resolve) => {
    const probe = createConnection(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.on('error', (error) => resolve(isErrno(error, 'ECONNREFUSED')));
  });
}

export function isErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

function ioError(path: string, error: unknown): ExhumeError {
  const inUse = isErrno(error, 'EADDRINUSE');
  const why = inUse ? 'something is there already' : messageOf(error);
  return new ExhumeError('EXH_IO', `cannot listen on ${path}: ${why}`, { file: path }, { cause: error });
}
