import type { ByteSource } from '../../bytes/byte-source.js';
import type { PhysicalMemory, PhysicalRange } from '../../dump/memory.js';
import { SparseMemory } from '../../dump/testing/sparse-memory.js';
import { type BuiltHandover, buildHandover } from '../build/build.js';
import { describeFtrace, type FtraceState } from '../ftrace/describe.js';

/** A machine of 128 MiB, of whose pages a dump has none. */
export class BareMachine extends SparseMemory {
  constructor(private readonly end = 0x8000000) {
    super();
  }

  override ranges(): readonly PhysicalRange[] {
    return [
      { start: 0, end: 0x9f000 },
      { start: 0x100000, end: this.end },
    ] as PhysicalRange[];
  }
}

/** A trace as the series of 2023/24 hands it over, laid out. */
export function handedOverTrace(
  state: FtraceState,
  version: 'v2' | 'v3' = 'v3',
  memory: PhysicalMemory = new BareMachine(),
): BuiltHandover {
  const source: ByteSource = {
    name: 'memory',
    size: 2 ** 40,
    read: (offset, into) => {
      into.set(memory.bytes(offset, into.length));
      return into.length;
    },
  };
  return buildHandover(describeFtrace(state, version, memory), () => source);
}
