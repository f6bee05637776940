/** The table of a reflected CRC of 32 bits. */
function tableOf(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value >>> 0;
  });
}

const CRC32 = tableOf(0xedb88320);

/** CRC-32 of gzip, xz and lzop (IEEE 802.3). */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = (CRC32[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The reflected polynomial of ECMA-182, 0xc96c5795d7870f42, in two halves. */
const [CRC64_LOW, CRC64_HIGH] = ((): [Uint32Array, Uint32Array] => {
  const lows = new Uint32Array(256);
  const highs = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let low = byte;
    let high = 0;
    for (let bit = 0; bit < 8; bit++) {
      const carry = low & 1;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (carry) {
        low ^= 0xd7870f42;
        high ^= 0xc96c5795;
      }
    }
    lows[byte] = low;
    highs[byte] = high;
  }
  return [lows, highs];
})();

/** CRC-64 of xz, its low and its high 32 bits. */
export function crc64(bytes: Uint8Array): { readonly low: number; readonly high: number } {
  let low = -1;
  let high = -1;
  for (let i = 0; i < bytes.length; i++) {
    const index = (low ^ (bytes[i] as number)) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ (CRC64_LOW[index] as number);
    high = (high >>> 8) ^ (CRC64_HIGH[index] as number);
  }
  return { low: ~low >>> 0, high: ~high >>> 0 };
}
