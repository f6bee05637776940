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
  const met = new Set<number>();
  for (const { users, direction, address: tree, compatible } of handovers) {
    for (const { what, address, size } of users.flatMap(({ areas }) => areas)) {
      const [, name] = RESERVED.exec(what) ?? [];
      if (name === undefined || met.has(address) || size > memory.describedBytes()) continue;
      const source = new MemoryStretch(memory, address, size, what);
      if (!begins(source)) continue;
      met.add(address);
      const from = [direction, `tree (${compatible})`, tree === undefined ? '' : `at ${hexText(tree)}`];
      yield {
        address,
        source,
        name,
        evidence: `${name}: ${what} at ${areaText({ address, size })}, of the ${from.filter(Boolean).join(' ')}`,
      };
    }
  }
}

/** Memory that is not in the dump begins nothing. */
function begins(source: MemoryStretch): boolean {
  return source.present(0) && isPersistentBuffer(source);
}
