import { hex } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';

/** The memory of a running guest, as a device sees it. Addresses are guest physical, in bytes. */
export interface GuestMemory {
  /** Fills `into`. Rejects with EXH_DEVICE_MEMORY when any byte of it is not memory that the device may read. */
  read(address: number, into: Uint8Array): Promise<void>;
  /** Rejects with EXH_DEVICE_MEMORY when any byte of it is not memory that the device may write. */
  write(address: number, bytes: Uint8Array): Promise<void>;
}

/** What a guest is told that names memory which is not there, or not for this. */
export function noMemory(address: number, length: number, access: 'read' | 'write'): ExhumeError {
  const message = `the guest has no memory to ${access} at ${hex(address)}, ${length} bytes`;
  return new ExhumeError('EXH_DEVICE_MEMORY', message, { address });
}
