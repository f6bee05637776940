import type { VirtualMemory } from '../../machine/virtual-memory.js';

/** An IPv4 address in memory, in network order: `10.0.2.15`. */
export function ipv4At(memory: VirtualMemory, address: bigint): string {
  return memory.bytes(address, 4).join('.');
}

/** An IPv6 address in memory, shortened as RFC 5952 has it: `fe80::5054:ff:fe12:3456`. */
export function ipv6At(memory: VirtualMemory, address: bigint): string {
  return ipv6Text(memory.bytes(address, 16));
}

/** Sixteen bytes as an IPv6 address; an IPv4 address inside one as `::ffff:10.0.2.15`. */
export function ipv6Text(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, index) => ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0));
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${bytes.subarray(12, 16).join('.')}`;
  }
  const run = longestZeros(groups);
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (run.length < 2) return text(groups);
  return `${text(groups.slice(0, run.start))}::${text(groups.slice(run.start + run.length))}`;
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
    start += length;
  }
  return best;
}

/** A port in network order. */
export function portAt(memory: VirtualMemory, address: bigint): number {
  const [high = 0, low = 0] = memory.bytes(address, 2);
  return (high << 8) | low;
}

/** The length of the prefix that a network mask stands for. */
export function prefixLength(mask: Uint8Array): number {
  let bits = 0;
  for (const byte of mask) for (let rest = byte; rest !== 0; rest &= rest - 1) bits++;
  return bits;
}
