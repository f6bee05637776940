/** The memory of a running guest, as a device sees it. Addresses are guest physical, in bytes. */
export interface GuestMemory {
  /** Fills `into`. Rejects with EXH_DEVICE_MEMORY when any byte of it is not memory that the device may read. */
  read(address: number, into: Uint8Array): Promise<void>;
  /** Rejects with EXH_DEVICE_MEMORY when any byte of it is not memory that the device may write. */
  write(address: number, bytes: Uint8Array): Promise<void>;
}
