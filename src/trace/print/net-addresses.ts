import { hexBytes } from './hex.js';

/** An IPv4 address: `%pI4`, `%pi4` with leading zeros; `h` and `l` are of other byte orders. */
export function ip4(bytes: Uint8Array, letters: string, littleEndian: boolean): string {
  const reversed = letters.includes('l') || (letters.includes('h') && littleEndian);
  const quads = Array.from(bytes.subarray(0, 4));
  if (reversed) quads.reverse();
  return quads.map((quad) => (letters.startsWith('i') ? `${quad}`.padStart(3, '0') : `${quad}`)).join('.');
}

/** An IPv6 address: `%pI6`, `%pi6` without colons, `%pI6c` compressed. */
export function ip6(bytes: Uint8Array, letters: string): string {
  if (letters.startsWith('i')) return hexBytes(bytes.subarray(0, 16), '');
  const words: number[] = [];
  for (let at = 0; at < 16; at += 2) words.push(((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0));
  if (!letters.includes('c')) return words.map((word) => word.toString(16).padStart(4, '0')).join(':');
  return compressed(words, bytes);
}

/** `ip6_compressed_string()` of lib/vsprintf.c. */
function compressed(words: readonly number[], bytes: Uint8Array): string {
  const mapped = words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff;
  // ISATAP: the interface identifier is 0000:5efe or 0200:5efe.
  const isatap = ((words[4] ?? 0) | 0x0200) === 0x0200 && words[5] === 0x5efe;
  const range = mapped || isatap ? 6 : 8;
  let longest = 1;
  let from = -1;
  for (let at = 0; at < range; at++) {
    let zeros = 0;
    while (at + zeros < range && words[at + zeros] === 0) zeros++;
    if (zeros > longest) {
      longest = zeros;
      from = at;
    }
  }
  const hex = (part: readonly number[]) => part.map((word) => word.toString(16)).join(':');
  const tail = range === 6 ? Array.from(bytes.subarray(12, 16)).join('.') : '';
  if (from < 0) return [hex(words.slice(0, range)), tail].filter((part) => part !== '').join(':');
  const behind = [hex(words.slice(from + longest, range)), tail].filter((part) => part !== '').join(':');
  return `${hex(words.slice(0, from))}::${behind}`;
}

const AF_INET = 2;
const AF_INET6 = 10;

/** A `struct sockaddr`: `%pIS` with p(ort), f(low), s(cope), c(ompressed), and byte orders. Undefined: of another family. */
export function socketAddress(bytes: Uint8Array, letters: string, littleEndian: boolean): string | undefined {
  const padded = new Uint8Array(28);
  padded.set(bytes.subarray(0, 28));
  const view = new DataView(padded.buffer);
  const options = letters.slice(2);
  const port = options.includes('p') ? `:${view.getUint16(2)}` : '';
  switch (view.getUint16(0, littleEndian)) {
    case AF_INET:
      return ip4(padded.subarray(4, 8), letters.slice(0, 1) + options, littleEndian) + port;
    case AF_INET6: {
      const address = ip6(padded.subarray(8, 24), letters.slice(0, 1) + options);
      const flow = options.includes('f') ? `/${view.getUint32(4) & 0x0fff_ffff}` : '';
      const scope = options.includes('s') ? `%${view.getUint32(24, littleEndian)}` : '';
      return /[pfs]/.test(options) ? `[${address}]${port}${flow}${scope}` : address;
    }
    default:
      return undefined;
  }
}

/** A hardware address: `%pM`, `%pm` without separators, `F` with dashes, `R` reversed, `U` in upper case. */
export function macAddress(bytes: Uint8Array, letters: string): string {
  const six = bytes.slice(0, 6);
  if (letters[1] === 'R') six.reverse();
  const text = hexBytes(six, letters.startsWith('m') ? '' : letters[1] === 'F' ? '-' : ':');
  const upper = letters[1] === 'U' || (/^[FR]$/.test(letters[1] ?? '') && letters[2] === 'U');
  return upper ? text.toUpperCase() : text;
}
