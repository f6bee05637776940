import type { Pfn, PhysicalAddress } from '../bytes/address.js';
import { bytesOf, matches } from '../bytes/search.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type { VirtualMemory } from '../machine/virtual-memory.js';
import type { SymbolTable } from './symbols.js';
import { parseVmcoreinfo, type Vmcoreinfo } from './vmcoreinfo.js';

/** The first line of every VMCOREINFO; the kernel keeps the text at the start of a page of its own. */
const FIRST_LINE = bytesOf('OSRELEASE=');
/** VMCOREINFO_BYTES is a page, 64 KiB at the largest. */
const LONGEST = 65536;

/** A VMCOREINFO found in memory, and the physical address of its text. */
export interface FoundVmcoreinfo {
  readonly vmcoreinfo: Vmcoreinfo;
  readonly physical: PhysicalAddress;
}

/**
 * Every page in memory that begins as VMCOREINFO does. Reads the whole memory once.
 * Pages of an earlier boot may be among them: the caller checks what they say.
 */
export function* scanForVmcoreinfo(memory: PhysicalMemory): Generator<FoundVmcoreinfo> {
  const pageSize = memory.pageSize;
  for (const { start, end } of memory.presentRanges()) {
    for (let pfn = Math.ceil(start / pageSize); (pfn + 1) * pageSize <= end; pfn++) {
      const page = memory.peek(pfn as Pfn);
      if (typeof page === 'string' || !matches(page, 0, FIRST_LINE)) continue;
      yield { vmcoreinfo: parseVmcoreinfo(page), physical: (pfn * pageSize) as PhysicalAddress };
    }
  }
}

/**
 * VMCOREINFO by the kernel's own variables `vmcoreinfo_data` and `vmcoreinfo_size` (kernel/vmcore_info.c).
 * Undefined when the kernel has none. Throws the errors of reading memory.
 */
export function vmcoreinfoOfKernel(memory: VirtualMemory, symbols: SymbolTable): Vmcoreinfo | undefined {
  const data = symbols.address('vmcoreinfo_data');
  if (data === undefined) return undefined;
  const sizeAt = symbols.address('vmcoreinfo_size');
  const told = sizeAt === undefined ? memory.physical.pageSize : Number(memory.u64(sizeAt));
  const size = told > 0 && told <= LONGEST ? told : memory.physical.pageSize;
  // A pointer since 4.13, the text itself before.
  const inPlace = matches(memory.bytes(data, FIRST_LINE.length), 0, FIRST_LINE);
  const text = memory.bytes(inPlace ? data : memory.pointer(data), size);
  return matches(text, 0, FIRST_LINE) ? parseVmcoreinfo(text) : undefined;
}

/**
 * The VMCOREINFO that a capture kernel was handed (`elfcorehdr=` on its command line): the ELF header in reserved
 * memory has one PT_NOTE segment per CPU and one for VMCOREINFO, by physical address (kernel/kexec_core.c).
 * Undefined when there is none. Throws the errors of reading memory.
 */
export function vmcoreinfoOfElfCoreHeader(memory: PhysicalMemory, address: number): FoundVmcoreinfo | undefined {
  const header = new DataView(memory.bytes(address, 64).buffer);
  if (header.getUint32(0, true) !== ELF_MAGIC) return undefined;
  const offset = Number(header.getBigUint64(32, true));
  const count = header.getUint16(56, true);
  for (let index = 0; index < count; index++) {
    const segment = new DataView(memory.bytes(address + offset + index * 56, 56).buffer);
    const size = Number(segment.getBigUint64(32, true));
    if (segment.getUint32(0, true) !== PT_NOTE || size < 24 || size > LONGEST) continue;
    const physical = Number(segment.getBigUint64(24, true));
    const note = memory.bytes(physical, size);
    const nameLength = new DataView(note.buffer).getUint32(0, true);
    if (nameLength !== NOTE_NAME.length || !matches(note, 12, NOTE_NAME)) continue;
    const text = 12 + ((nameLength + 3) & ~3);
    return { vmcoreinfo: parseVmcoreinfo(note.subarray(text)), physical: (physical + text) as PhysicalAddress };
  }
  return undefined;
}

const ELF_MAGIC = 0x464c457f;
const PT_NOTE = 4;
const NOTE_NAME = bytesOf('VMCOREINFO\0');

/** The address in a command line's `elfcorehdr=[SIZE[KMG]@]OFFSET[KMG]`, in bytes. */
export function elfCoreHeaderAddress(commandLine: string): number | undefined {
  const value = /(?:^|\s)elfcorehdr=(?:[^\s@]*@)?(0x[0-9a-fA-F]+|\d+)([KMG]?)(?=\s|$)/i.exec(commandLine);
  if (value === null) return undefined;
  const unit = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[(value[2] ?? '').toUpperCase()] ?? 1;
  const address = Number(value[1]) * unit;
  return Number.isSafeInteger(address) ? address : undefined;
}
