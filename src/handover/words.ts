import type { DecodedNode, DecodedValue, MemoryArea } from './model.js';

/** `0x3e200000, 4 MiB`. */
export function areaText({ address, size }: MemoryArea): string {
  return `${hexText(address)}, ${sizeText(size)}`;
}

export function hexText(address: number | bigint): string {
  return `0x${address.toString(16)}`;
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `4 MiB`; in bytes where it is no whole number of a larger unit. */
export function sizeText(size: number | bigint): string {
  let value = BigInt(size);
  let unit = 0;
  while (value !== 0n && value % 1024n === 0n && unit < UNITS.length - 1) {
    value /= 1024n;
    unit++;
  }
  return `${value} ${UNITS[unit]}`;
}

/** What stands at an address, whose size is not told; undefined for 0 and for what no memory has. */
export function firstByte(address: bigint): MemoryArea | undefined {
  return address > 0n && address < 1n << 52n ? { address: Number(address), size: 1 } : undefined;
}

export function node(
  name: string,
  values: readonly (readonly [name: string, value: string | number | bigint, area?: MemoryArea | undefined])[],
  children: readonly DecodedNode[] = [],
): DecodedNode {
  return {
    name,
    values: values.map(
      ([key, value, area]): DecodedValue => ({ name: key, value: String(value), ...(area && { area }) }),
    ),
    children,
  };
}
