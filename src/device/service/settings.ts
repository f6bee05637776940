import { statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ExhumeError } from '../../bytes/errors.js';
import { checkGuestName } from '../../pstore/node/store.js';
import { checkSettings, type GuestPolicy, type StoreSettings } from '../../pstore/policy.js';
import type { LogLevel } from '../log-events.js';
import type { Protocol } from '../protocol.js';
import { OWNER_ONLY } from '../unix-socket.js';
import type { Address, ServiceOptions } from './options.js';

/** What the service does. */
export interface ServiceSettings {
  readonly directory: string;
  /** Paths of sockets, or with `{guest}` in the place of a guest's name. */
  readonly sockets: readonly string[];
  readonly mode: number;
  /** Guests that are named; `discover`: and those that have a directory. */
  readonly guests: readonly string[];
  readonly discover: boolean;
  readonly bufferSize: number | undefined;
  readonly protocol: Protocol;
  readonly store: StoreSettings;
  /** Where the monitor of a guest is, with `{guest}`; undefined: no machine is stopped. */
  readonly monitor: string | undefined;
  readonly hook: readonly string[] | undefined;
  readonly metrics: Address | undefined;
  readonly logLevel: LogLevel;
}

const GUEST = '{guest}';

/**
 * What the file and the command line come to. What is said of all guests on the command line counts more than in the file;
 * what the file says of one guest counts more than either. Throws EXH_USAGE for what makes no sense together.
 */
export function settingsOf(file: ServiceOptions, line: ServiceOptions): ServiceSettings {
  const { dir, socket = [], guest = [], guests = {}, qmp, ...told } = { ...file, ...line };
  if (dir === undefined) throw usage('no directory for the records', '--dir DIR');
  if (socket.length === 0) throw usage('no socket to listen on', '--socket PATH');
  const { discover = false, onDiskError = 'refuse', bufferSize, protocol = '2', onRecord, metrics } = told;
  const sockets = socket.map((path) =>
    path.includes(GUEST) || !isDirectory(path) ? path : join(path, `${GUEST}.sock`),
  );
  const named = [...new Set([...guest, ...Object.keys(guests)])];
  for (const name of named) checkGuestName(name);
  const template = sockets.find((path) => path.includes(GUEST));
  if (template === undefined && (guest.length > 0 || discover)) {
    throw usage('guests that are named or discovered need a socket for each', `--socket DIR, or a path with ${GUEST}`);
  }
  if (template !== undefined && named.length === 0 && !discover) {
    throw usage(`no guest for ${template}`, '--guest NAME, --discover, or "guests" in the configuration file');
  }
  if (onDiskError === 'pause' && qmp === undefined) throw usage('a machine is paused by its monitor', '--qmp DIR');
  const store = storeSettings(told, guests);
  checkSettings(store);
  const settings = {
    directory: dir,
    sockets,
    mode: told.socketMode ?? OWNER_ONLY,
    guests: named,
    discover,
    bufferSize,
    protocol,
    store,
    monitor: onDiskError === 'pause' && qmp !== undefined ? monitorTemplate(qmp) : undefined,
    hook: onRecord,
    metrics,
    logLevel: told.logLevel ?? 'info',
  };
  socketsOf(settings, []);
  return settings;
}

/**
 * The socket of each guest.
 * @param discovered guests that have a directory
 */
export function socketsOf(settings: ServiceSettings, discovered: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  const add = (guest: string, path: string): void => {
    checkGuestName(guest);
    const other = found.get(guest);
    if (other !== undefined && other !== path) throw usage(`${other} and ${path} name the same guest, ${guest}`);
    found.set(guest, path);
  };
  for (const path of settings.sockets) {
    if (!path.includes(GUEST)) {
      add(basename(path, '.sock'), path);
      continue;
    }
    for (const guest of [...settings.guests, ...discovered]) add(guest, forGuest(path, guest));
  }
  return found;
}

/** The path of a template for one guest. */
export function forGuest(template: string, guest: string): string {
  return template.replaceAll(GUEST, guest);
}

function monitorTemplate(qmp: string): string {
  return qmp.includes(GUEST) ? qmp : join(qmp, `${GUEST}.qmp`);
}

function storeSettings(told: ServiceOptions, guests: Readonly<Record<string, Partial<GuestPolicy>>>): StoreSettings {
  const { keepFirst, keepLast, guestQuota, totalQuota, rate, burst, types } = told;
  return {
    guests,
    ...(keepFirst !== undefined && { keepFirst }),
    ...(keepLast !== undefined && { keepLast }),
    ...(guestQuota !== undefined && { guestBytes: guestQuota }),
    ...(totalQuota !== undefined && { totalBytes: totalQuota }),
    ...(rate !== undefined && { bytesPerSecond: rate }),
    ...(burst !== undefined && { burstBytes: burst }),
    ...(types !== undefined && { types }),
  };
}

function isDirectory(path: string): boolean {
  return path.endsWith('/') || statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function usage(message: string, hint?: string): ExhumeError {
  return new ExhumeError('EXH_USAGE', message, { ...(hint !== undefined && { hint }) });
}
