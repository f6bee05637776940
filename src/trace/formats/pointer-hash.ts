import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../../kernel/kernel-view.js';

/**
 * What the kernel prints in place of a pointer (`%p`): the low half of SipHash-2-4 of it under a key that it drew when it
 * booted (`ptr_key`, lib/vsprintf.c). The function gives undefined where it was never drawn, as the kernel had no random
 * numbers yet. No function at all: the key is not known, or the kernel ran with `no_hash_pointers`.
 */
export function pointerHash(view: KernelView): ((value: bigint) => number | undefined) | undefined {
  const { memory, kernel } = view;
  const flag = (name: string): boolean | undefined => {
    const address = kernel.symbols.address(name);
    return address === undefined ? undefined : memory.u8(address) !== 0;
  };
  try {
    const key = kernel.symbols.address('ptr_key');
    if (key === undefined || flag('no_hash_pointers') === true) return undefined;
    const low = memory.u64(key);
    const high = memory.u64(key + 8n);
    const drawn = flag('filled_random_ptr_key') ?? (low !== 0n || high !== 0n);
    return drawn ? (value) => Number(sipHash(value, low, high) & 0xffffffffn) : () => undefined;
  } catch (error) {
    if (isExhumeError(error)) return undefined;
    throw error;
  }
}

/** SipHash-2-4 of one word of 64 bits; `siphash_1u64()`, lib/siphash.c. */
export function sipHash(word: bigint, low: bigint, high: bigint): bigint {
  const v: [bigint, bigint, bigint, bigint] = [
    0x736f6d6570736575n ^ low,
    0x646f72616e646f6dn ^ high,
    0x6c7967656e657261n ^ low,
    0x7465646279746573n ^ high,
  ];
  // The message's end: its length in the top byte.
  for (const block of [BigInt.asUintN(64, word), 8n << 56n]) {
    v[3] ^= block;
    round(v);
    round(v);
    v[0] ^= block;
  }
  v[2] ^= 0xffn;
  for (let left = 4; left > 0; left--) round(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

function round(v: [bigint, bigint, bigint, bigint]): void {
  v[0] = sum(v[0], v[1]);
  v[1] = rotate(v[1], 13n) ^ v[0];
  v[0] = rotate(v[0], 32n);
  v[2] = sum(v[2], v[3]);
  v[3] = rotate(v[3], 16n) ^ v[2];
  v[0] = sum(v[0], v[3]);
  v[3] = rotate(v[3], 21n) ^ v[0];
  v[2] = sum(v[2], v[1]);
  v[1] = rotate(v[1], 17n) ^ v[2];
  v[2] = rotate(v[2], 32n);
}

function sum(one: bigint, other: bigint): bigint {
  return (one + other) & 0xffffffffffffffffn;
}

function rotate(value: bigint, by: bigint): bigint {
  return ((value << by) | (value >> (64n - by))) & 0xffffffffffffffffn;
}
