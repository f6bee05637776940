import type { Random } from '../../testing/random.js';
import type { NewFdt, NewNode } from '../fdt/fdt-write.js';

const NODES = ['a', 'b@0', 'b@1', 'x,y', '1f', 'cpus', 'a.b+c_d', 'delete-node'] as const;
const PROPERTIES = ['reg', 'compatible', '#size-cells', 'size-cells', 'cells', 'a', '0', 'x*y?', '#include'] as const;
const TEXTS = ['', 'a', 'one\0two', 'tab\tnew\nline', '"quoted"\\', '\0', '\x07\b\v\f\r', 'a\0\0'] as const;

/** A random tree that source text can say: no two of a name, no phandles. */
export function randomTree(random: Random): NewFdt {
  const reservations = Array.from({ length: random.below(3) }, () => ({
    address: BigInt(random.below(2 ** 32)) << 20n,
    size: BigInt(1 + random.below(2 ** 32)),
  }));
  return { root: randomNode(random, '', 0), reservations };
}

function randomNode(random: Random, name: string, depth: number): NewNode {
  return {
    name,
    properties: PROPERTIES.filter(() => random.below(3) === 0).map((one) => ({
      name: one,
      value: randomValue(random),
    })),
    children:
      depth > 5
        ? []
        : NODES.filter(() => random.below(3 + depth) === 0).map((one) => randomNode(random, one, depth + 1)),
  };
}

function randomValue(random: Random): Uint8Array {
  if (random.below(3) === 0) return new TextEncoder().encode(`${random.pick(TEXTS)}\0`);
  return Uint8Array.from({ length: random.below(20) }, () => random.pick([0, 0x41, 0x80, random.below(256)]));
}
