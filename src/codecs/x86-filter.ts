/**
 * Turns absolute targets of calls and jumps (opcodes e8, e9) back into relative ones, in place: the filter that `xz --x86`
 * puts before LZMA2, with the first byte at position 0 (xz-file-format.txt, 5.3.2).
 *
 * Whether an operand was converted depends on its top byte, and on which of the four bytes before the opcode looked like
 * opcodes themselves: `seen` has a bit for each, the nearest one lowest; with bit 4 the last of them had a top byte that fits.
 */
export function undoX86Filter(bytes: Uint8Array): void {
  const last = bytes.length - 5;
  let seen = 0;
  let before = -5;
  for (let at = 0; at <= last; ) {
    const opcode = bytes[at] as number;
    if (opcode !== 0xe8 && opcode !== 0xe9) {
      at++;
      continue;
    }
    const gap = at - before;
    before = at;
    if (gap > 5) seen = 0;
    else for (let i = 0; i < gap; i++) seen = (seen & 0x77) << 1;
    const top = bytes[at + 4] as number;
    if (!isTop(top) || !MAY_CONVERT[(seen >> 1) & 7] || seen >> 1 >= 0x10) {
      at++;
      seen |= isTop(top) ? 0x11 : 1;
      continue;
    }
    let source = ((top << 24) | ((bytes[at + 3] as number) << 16) | ((bytes[at + 2] as number) << 8)) >>> 0;
    source += bytes[at + 1] as number;
    let target: number;
    for (;;) {
      target = (source - (at + 5)) >>> 0;
      if (seen === 0) break;
      const shift = 24 - (SHIFT[seen >> 1] as number) * 8;
      if (!isTop((target >>> shift) & 0xff)) break;
      source = (target ^ (2 ** (shift + 8) - 1)) >>> 0;
    }
    bytes[at + 1] = target;
    bytes[at + 2] = target >>> 8;
    bytes[at + 3] = target >>> 16;
    bytes[at + 4] = (target >>> 24) & 1 ? 0xff : 0;
    at += 5;
    seen = 0;
  }
}

function isTop(byte: number): boolean {
  return byte === 0 || byte === 0xff;
}

const MAY_CONVERT = [true, true, true, false, true, false, false, false];
const SHIFT = [0, 1, 2, 2, 3, 3, 3, 3];
