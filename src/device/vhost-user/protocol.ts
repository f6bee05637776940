import { ExhumeError } from '../../bytes/errors.js';
import { size64, structTable, u32, u64 } from '../../bytes/struct-table.js';
import type { Framing } from '../frames.js';

/**
 * vhost-user, version 1 (docs/interop/vhost-user.rst of QEMU): numbers in the byte order of the host. Only little-endian
 * hosts are served.
 */

export const HEADER = structTable('vhost-user header', 12, {
  request: u32(0),
  flags: u32(4),
  /** Of what follows this header. */
  size: u32(8),
});

export const VERSION = 1;
export const VERSION_MASK = 3;
export const REPLY = 4;
export const NEED_REPLY = 8;

export const REQUEST = {
  getFeatures: 1,
  setFeatures: 2,
  setOwner: 3,
  resetOwner: 4,
  setMemoryTable: 5,
  setRingSize: 8,
  setRingAddress: 9,
  setRingBase: 10,
  getRingBase: 11,
  setRingKick: 12,
  setRingCall: 13,
  setRingError: 14,
  getProtocolFeatures: 15,
  setProtocolFeatures: 16,
  getQueueCount: 17,
  setRingEnable: 18,
  getConfig: 24,
  setConfig: 25,
  resetDevice: 34,
} as const;

export const U64 = structTable('u64', 8, { value: u64(0) });
export const RING_STATE = structTable('vhost_vring_state', 8, { index: u32(0), value: u32(4) });
/** User addresses of the machine's process. */
export const RING_ADDRESS = structTable('vhost_vring_addr', 40, {
  index: u32(0),
  flags: u32(4),
  descriptors: size64(8),
  used: size64(16),
  available: size64(24),
});
export const MEMORY_TABLE = structTable('vhost-user memory', 8, { regions: u32(0) });
export const REGION = structTable('vhost-user memory region', 32, {
  /** Guest physical. */
  address: size64(0),
  size: size64(8),
  /** Of the machine's process. */
  userAddress: size64(16),
  /** In the file. */
  offset: size64(24),
});
export const CONFIG = structTable('vhost-user config', 12, { offset: u32(0), size: u32(4), flags: u32(8) });

/** Of the value that comes with a kick, call or error descriptor: which ring, and that there is no descriptor. */
export const RING_MASK = 0xffn;
export const NO_DESCRIPTOR = 0x100n;

export const F_PROTOCOL_FEATURES = 1n << 30n;
export const F_VERSION_1 = 1n << 32n;
export const P_MULTIQUEUE = 1n << 0n;
export const P_REPLY_ACK = 1n << 3n;
export const P_CONFIG = 1n << 9n;
export const P_RESET_DEVICE = 1n << 13n;

export const MOST_REGIONS = 8;
export const MOST_CONFIG = 256;
const MOST_PAYLOAD = 4096;

export const FRAMING: Framing = {
  headerSize: HEADER.size,
  lengthOf(header) {
    const { size, flags, request } = HEADER.read(header);
    if (size <= MOST_PAYLOAD && (flags & VERSION_MASK) === VERSION) return HEADER.size + size;
    const message = `vhost-user: request ${request} with flags ${flags} and ${size} bytes`;
    throw new ExhumeError('EXH_DEVICE_PROTOCOL', message, { found: size });
  },
};
