/** A record of makedumpfile's flattened form: these bytes belong at this offset. */
export interface WrittenRecord {
  readonly offset: number;
  readonly data: Uint8Array;
}

/** Writes a flattened file of records in the order given. `end: false` leaves the end record away. */
export function writeFlattened(records: readonly WrittenRecord[], { end = true } = {}): Uint8Array {
  const size = 4096 + records.reduce((sum, { data }) => sum + 16 + data.length, 0) + (end ? 16 : 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode('makedumpfile'));
  view.setBigInt64(16, 1n);
  view.setBigInt64(24, 1n);
  let at = 4096;
  for (const { offset, data } of records) {
    view.setBigInt64(at, BigInt(offset));
    view.setBigInt64(at + 8, BigInt(data.length));
    bytes.set(data, at + 16);
    at += 16 + data.length;
  }
  if (end) bytes.fill(0xff, at);
  return bytes;
}

/** Cuts a file into records of at most `size` bytes, in order. */
export function recordsOf(bytes: Uint8Array, size: number): WrittenRecord[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => ({
    offset: i * size,
    data: bytes.subarray(i * size, (i + 1) * size),
  }));
}
