import { viewOf } from '../../bytes/struct-table.js';
import type { StateField } from './cpu-section.js';

/** What a stream says of its own devices: their fields, in order. */
export interface Description {
  readonly devices: number;
  /** A device's fields; undefined where it is not described. */
  fieldsOf(name: string, instance: number): readonly StateField[] | undefined;
}

const QEMU_VM_VMDESCRIPTION = 6;
const MAX_FIELD = 2 ** 30;
/** So many places are tried that look like its beginning. */
const MOST_TRIES = 16;

/** Finds the JSON at the end of a stream: its type, its length, its text. Older machine types have none. */
export function findDescription(state: Uint8Array): Description | undefined {
  const view = viewOf(state);
  let tries = 0;
  for (let at = state.length; at > 0 && tries < MOST_TRIES; ) {
    at = state.lastIndexOf(QEMU_VM_VMDESCRIPTION, at - 1);
    if (at < 0) break;
    const from = at + 5;
    if (state[from] !== 0x7b || from + view.getUint32(at + 1) > state.length) continue;
    const devices = devicesIn(new TextDecoder().decode(state.subarray(from, from + view.getUint32(at + 1))));
    if (devices !== undefined) return describe(devices);
    tries++;
  }
  return undefined;
}

type Json = Readonly<Record<string, unknown>>;

function devicesIn(text: string): readonly Json[] | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    if (!isObject(parsed) || !Array.isArray(parsed['devices'])) return undefined;
    return parsed['devices'].filter(isObject);
  } catch {
    return undefined;
  }
}

function describe(devices: readonly Json[]): Description {
  return {
    devices: devices.length,
    fieldsOf(name, instance) {
      const device = devices.find((one) => one['name'] === name && one['instance_id'] === instance);
      const fields = device?.['fields'];
      if (!Array.isArray(fields)) return undefined;
      const known: StateField[] = [];
      for (const field of fields.filter(isObject)) {
        const { name: called, size, array_len: count = 1 } = field;
        if (typeof called !== 'string' || !isCount(size) || !isCount(count)) return undefined;
        known.push({ name: called, bytes: size * count });
      }
      return known;
    },
  };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < MAX_FIELD;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
