import { physicalAddress, virtualAddress } from '../../bytes/address.js';
import type { ByteSource } from '../../bytes/byte-source.js';
import { ExhumeError, isExhumeError } from '../../bytes/errors.js';
import { CachedSource } from '../../dump/cached-source.js';
import { DamageLog } from '../../dump/damage-log.js';
import { readElfHeader } from '../../dump/elf-header.js';
import { readProgramHeaders, type Segments } from '../../dump/elf-segments.js';
import { SegmentMemory } from '../../dump/segment-memory.js';
import { readBanner } from '../../kernel/identity.js';
import { scanForKallsyms } from '../../kernel/kallsyms-load.js';
import { loadBtf } from '../../kernel/load-btf.js';
import type { SymbolTable } from '../../kernel/symbols.js';
import { KernelTypes, noLayout } from '../../kernel/types/kernel-types.js';
import { LinearMemory } from '../../machine/linear-memory.js';
import type { Mapping } from '../../machine/machine.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';

/** Of the file that are kept, in bytes: a vmlinux with debug information is far larger than what is read of it. */
const CACHE_BYTES = 64 << 20;
const PAGE_SIZE = 4096;
/** More segments than a kernel has. */
const MOST_SEGMENTS = 64;
const X86_64 = 62;

/** A kernel that is not running: its image, at the addresses that it is linked to. */
export interface KernelImage {
  readonly memory: VirtualMemory;
  readonly symbols: SymbolTable;
  readonly types: KernelTypes;
  /** `6.1.0-49-cloud-amd64`; undefined when its banner cannot be read. */
  readonly release: string | undefined;
}

/**
 * A `vmlinux`, with symbols out of its kallsyms and types out of its BTF: no section, symbol table or debug information is
 * needed. Throws EXH_BAD_HEADER, EXH_TRUNCATED, EXH_UNKNOWN_ARCHITECTURE, EXH_NO_SYMBOL, EXH_NO_LAYOUT.
 */
export function openKernelImage(elf: ByteSource): KernelImage {
  const header = readElfHeader(elf);
  if (header.machine !== X86_64 || header.wordBits !== 64) {
    throw new ExhumeError('EXH_UNKNOWN_ARCHITECTURE', `${elf.name}: a kernel for machine ${header.machine}`, {
      file: elf.name,
      expected: 'x86-64',
      found: header.machine,
    });
  }
  const source = new CachedSource(elf, CACHE_BYTES);
  const { loads } = readProgramHeaders(source, header, new DamageLog());
  const spans = spansOf(loads);
  const memory = new LinearMemory(
    new SegmentMemory(
      source,
      {
        physical: loads.physical,
        fileOffset: loads.fileOffset,
        fileSize: loads.fileSize,
        memorySize: loads.memorySize,
      },
      PAGE_SIZE,
    ),
    header.littleEndian,
    spans,
  );
  const symbols = scanForKallsyms(memory, spans, (table) => {
    try {
      const banner = readBanner({ memory, symbols: table });
      return banner === undefined ? 'linux_banner is not where it would be' : undefined;
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      return 'linux_banner would be outside of the image';
    }
  });
  const btf = loadBtf(memory, symbols);
  if (btf === undefined) throw noLayout('type at all: the image has no BTF');
  return {
    memory,
    symbols,
    types: new KernelTypes(btf, () => []),
    release: /^Linux version (\S+)/.exec(readBanner({ memory, symbols }) ?? '')?.[1],
  };
}

/** What the file holds of each segment. */
function spansOf(loads: Segments): Mapping[] {
  const spans: Mapping[] = [];
  for (let i = 0; i < Math.min(loads.count, MOST_SEGMENTS); i++) {
    const physical = loads.physical[i] as number;
    const size = Math.min(loads.fileSize[i] as number, loads.memorySize[i] as number);
    if (size === 0 || !Number.isFinite(physical)) continue;
    const flags = loads.flags[i] as number;
    spans.push({
      virtual: virtualAddress(loads.virtual[i] as bigint),
      physical: physicalAddress(physical),
      size,
      writable: (flags & 2) !== 0,
      executable: (flags & 1) !== 0,
      user: false,
    });
  }
  return spans;
}
