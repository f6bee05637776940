import { ExhumeError, isExhumeError } from '../../bytes/errors.js';
import { RECORD_TYPES, type RecordType } from '../../pstore/name.js';
import type { GuestPolicy, Keeping } from '../../pstore/policy.js';
import { LOG_LEVELS } from '../log-events.js';
import { PROTOCOLS } from '../protocol.js';
import { DISK_ERROR_ACTIONS, type ServiceOptions } from './options.js';
import { parseAddress, parseBytes, parseCount, parseMode } from './values.js';

/**
 * The configuration file of the service: one JSON object, whose keys are the options of the command line without `--`, and
 * two that are not there: `types` and `guests`. What it does not know, it refuses.
 */

/** Reads a value. Throws EXH_USAGE. */
type Read<T> = (value: unknown) => T;
/** Reads the keys of an object. */
type Keys<T> = { readonly [K in keyof T]-?: readonly [key: string, read: Read<NonNullable<T[K]>>] };

const text: Read<string> = (value) => {
  if (typeof value !== 'string' || value === '') throw wrong('a text is expected');
  return value;
};
const flag: Read<boolean> = (value) => {
  if (typeof value !== 'boolean') throw wrong('true or false is expected');
  return value;
};
/** A JSON number, or what the command line takes. */
const number =
  (parse: (text: string) => number): Read<number> =>
  (value) =>
    parse(typeof value === 'number' ? String(value) : text(value));
const texts: Read<readonly string[]> = (value) => (Array.isArray(value) ? value.map(text) : [text(value)]);
function oneOf<T extends string>(choices: readonly T[]): Read<T> {
  return (value) => {
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw wrong(`one of ${choices.join(', ')} is expected`);
    return found;
  };
}

const KEEPING: Keys<Keeping> = {
  keepFirst: ['keep-first', number(parseCount)],
  keepLast: ['keep-last', number(parseCount)],
};
const types: Read<NonNullable<GuestPolicy['types']>> = (value) => {
  return named(value, (type, keeping) => {
    oneOf<RecordType>(RECORD_TYPES)(type);
    return object<Keeping>(keeping, KEEPING);
  });
};
type OwnPolicy = Omit<GuestPolicy, 'recordBytes'>;
const POLICY: Keys<OwnPolicy> = {
  ...KEEPING,
  types: ['types', types],
  guestBytes: ['guest-quota', number(parseBytes)],
  bytesPerSecond: ['rate', number(parseBytes)],
  burstBytes: ['burst', number(parseBytes)],
};
const CONFIG: Keys<ServiceOptions> = {
  dir: ['dir', text],
  socket: ['socket', texts],
  guest: ['guest', texts],
  discover: ['discover', flag],
  socketMode: ['socket-mode', (value) => parseMode(text(value))],
  bufferSize: ['buffer-size', number(parseBytes)],
  protocol: ['protocol', (value) => oneOf(PROTOCOLS)(typeof value === 'number' ? String(value) : value)],
  keepFirst: KEEPING.keepFirst,
  keepLast: KEEPING.keepLast,
  guestQuota: POLICY.guestBytes,
  totalQuota: ['total-quota', number(parseBytes)],
  rate: POLICY.bytesPerSecond,
  burst: POLICY.burstBytes,
  onDiskError: ['on-disk-error', oneOf(DISK_ERROR_ACTIONS)],
  qmp: ['qmp', text],
  onRecord: ['on-record', texts],
  metrics: ['metrics', (value) => parseAddress(typeof value === 'number' ? String(value) : text(value))],
  logLevel: ['log-level', oneOf(LOG_LEVELS)],
  types: POLICY.types,
  guests: ['guests', (value) => named(value, (_, policy) => object<OwnPolicy>(policy, POLICY))],
};

/** Takes a configuration file apart. Throws EXH_USAGE, which says where in the file. */
export function parseConfig(json: string, file: string): ServiceOptions {
  try {
    return object<ServiceOptions>(JSON.parse(json), CONFIG);
  } catch (error) {
    if (!(error instanceof SyntaxError) && !isExhumeError(error, 'EXH_USAGE')) throw error;
    throw new ExhumeError('EXH_USAGE', `${file}: ${error.message}`, { file }, { cause: error });
  }
}

function object<T extends object>(value: unknown, keys: Keys<T>): Partial<T> {
  const known = new Map(
    Object.entries<readonly [string, Read<unknown>]>(keys).map(([name, [key, read]]) => [key, { name, read }]),
  );
  const entries = entriesOf(value).map(([key, given]) => {
    const found = known.get(key);
    if (found === undefined) throw wrong(`"${key}" is not known here`);
    return [found.name, within(key, () => found.read(given))] as const;
  });
  return Object.fromEntries(entries) as Partial<T>;
}

function named<T>(value: unknown, read: (name: string, value: unknown) => T): Record<string, T> {
  return Object.fromEntries(entriesOf(value).map(([name, given]) => [name, within(name, () => read(name, given))]));
}

function entriesOf(value: unknown): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('an object is expected');
  return Object.entries(value);
}

/** Says of an error where it is. */
function within<T>(key: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (isExhumeError(error)) throw wrong(`${key}: ${error.message}`);
    throw error;
  }
}

function wrong(message: string): ExhumeError {
  return new ExhumeError('EXH_USAGE', message);
}
