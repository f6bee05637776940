import type { PhysicalMemory } from '../../dump/memory.js';
import type { Handover } from '../../handover/model.js';
import { areaText, hexText } from '../../handover/words.js';
import { isPersistentBuffer } from '../ring/persistent-layout.js';
import { type FoundBuffer, MemoryStretch } from '../ring/persistent-search.js';

const RESERVED = /^reserve_mem (.+)$/;

/**
 * Persistent ring buffers in memory that upstream's handovers preserve: areas of `reserve_mem=`, each of which a kernel is told
 * to use by its name (`trace_instance=…@NAME`). An area that both handovers of a machine name is given once.
 */
export function* reservedBuffers(handovers: readonly Handover[], memory: PhysicalMemory): Generator<FoundBuffer> {
  const areas = new Map<number, { name: string; size: number; trees: string[] }>();
  for (const handover of handovers) {
    for (const { what, address, size } of handover.users.flatMap((user) => user.areas)) {
      const [, name] = RESERVED.exec(what) ?? [];
      if (name === undefined || size > memory.describedBytes()) continue;
      const known = areas.get(address);
      if (known === undefined) areas.set(address, { name, size, trees: [treeWords(handover)] });
      else known.trees.push(treeWords(handover));
    }
  }
  for (const [address, { name, size, trees }] of areas) {
    const source = new MemoryStretch(memory, address, size, `reserve_mem ${name}`);
    if (!begins(source)) continue;
    const place = `reserve_mem ${name} at ${areaText({ address, size })}`;
    yield { address, source, name, evidence: `${name}: ${place}, of the ${trees.join(' and the ')}` };
  }
}

/** `outgoing tree (kho-v4) at 0x50000` */
function treeWords({ direction, compatible, address }: Handover): string {
  const place = address === undefined ? '' : ` at ${hexText(address)}`;
  return `${direction === undefined ? '' : `${direction} `}tree (${compatible})${place}`;
}

/** Memory that is not in the dump begins nothing. */
function begins(source: MemoryStretch): boolean {
  return source.present(0) && isPersistentBuffer(source);
}
