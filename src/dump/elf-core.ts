import { hex, type PhysicalAddress, virtualAddress } from '../bytes/address.js';
import { type ByteSource, readUpTo } from '../bytes/byte-source.js';
import { ExhumeError } from '../bytes/errors.js';
import { bytesOf, find } from '../bytes/search.js';
import { CachedSource } from './cached-source.js';
import type { Container, HeaderFact, Note, VirtualSpan } from './container.js';
import { DamageLog } from './damage-log.js';
import { elfFacts, elfStructures } from './elf-facts.js';
import { ELF_INCOMPLETE, type ElfHeader, ET_CORE, elfMachineName, readElfHeader } from './elf-header.js';
import { type NoteSegment, readProgramHeaders, type Segments } from './elf-segments.js';
import { derivePhysical } from './kcore.js';
import { parseNotes, vmcoreinfoOf } from './notes.js';
import { type MemoryPieces, SegmentMemory } from './segment-memory.js';

/** A machine with 8192 CPUs has 10 MB of notes; what is longer than this is not notes. */
const MAX_NOTE_BYTES = 64 * 1024 * 1024;
/** A kernel's own map has some dozens of spans, a page-table walk of QEMU some thousands. */
const MAX_SPANS = 100_000;

export interface ElfOptions {
  /** Bytes of the file to keep in memory. */
  readonly cacheBytes: number;
  /** It is the memory of a running kernel: nothing is kept. */
  readonly live: boolean;
  readonly flattened: boolean;
}

/**
 * Opens an ELF core of a kernel: QEMU's, /proc/vmcore's, makedumpfile's, /proc/kcore.
 * Throws EXH_BAD_HEADER, EXH_TRUNCATED, or EXH_UNSUPPORTED_FORMAT for an ELF file that is no core of a kernel.
 */
export function openElfCore(source: ByteSource, options: ElfOptions): Container {
  const header = readElfHeader(source);
  if (header.type !== ET_CORE) throw notACore(source, header);
  if (header.programHeaders === 0) throw withoutSegments(source);
  const damage = new DamageLog();
  const programHeaders = readProgramHeaders(source, header, damage);
  const notes = readElfNotes(source, programHeaders.notes, header.littleEndian, damage);
  const { loads } = programHeaders;
  const derived = derivePhysical(loads, header);
  const pieces: MemoryPieces = { ...loads, physical: derived?.physical ?? loads.physical };
  if (derived === undefined && isProcessCore(loads, notes)) throw processCore(source);

  const cached = new CachedSource(source, options.live ? 0 : options.cacheBytes);
  const vmcoreinfo = vmcoreinfoOf(notes);
  const memory = new SegmentMemory(cached, pieces, pageSizeOf(vmcoreinfo));
  const cutAt = endOfData(loads);
  const truncated = cutAt > source.size && !options.live;
  if (truncated) {
    damage.add(
      'EXH_TRUNCATED',
      'memory',
      `${source.name}: segments reach to byte ${cutAt}, the file has ${source.size}: the pages behind are lost`,
    );
  }
  const marked = (header.flags & ELF_INCOMPLETE) !== 0;
  if (marked) {
    damage.add(
      'EXH_TRUNCATED',
      'memory',
      `${source.name}: e_flags says that makedumpfile ran out of space` +
        (programHeaders.empty > 0 ? `: ${programHeaders.empty} segments of memory are not even described` : ''),
    );
  }
  const facts: HeaderFact[] = elfFacts(source, header, programHeaders, memory.overlapping);
  if (derived !== undefined) facts.push({ name: 'direct map', value: hex(derived.base), note: derived.evidence });

  return {
    format: 'elf',
    description: `ELF${header.wordBits} core${options.live ? ' of the running kernel' : ''}`,
    flattened: options.flattened,
    ...(options.live && { live: true }),
    files: [source.name],
    littleEndian: header.littleEndian,
    wordBits: header.wordBits,
    claimedMachine: elfMachineName(header.machine, header.wordBits, header.littleEndian),
    memory,
    notes,
    vmcoreinfo,
    claimedPhysBase: undefined,
    spans: spansOf(loads, pieces.physical),
    incomplete: marked || truncated || programHeaders.read < header.programHeaders,
    facts,
    structures: elfStructures(source, header, programHeaders.read),
    damage: damage.entries,
  };
}

/** The notes of a file, up to a bound; what cannot be read is recorded as damage. */
export function readElfNotes(
  source: ByteSource,
  segments: readonly NoteSegment[],
  littleEndian: boolean,
  damage: DamageLog,
): Note[] {
  const notes: Note[] = [];
  let room = MAX_NOTE_BYTES;
  for (const { offset, size } of segments) {
    const wanted = Math.min(size, room);
    const bytes = readUpTo(source, offset, wanted);
    room -= bytes.length;
    if (bytes.length < size) {
      damage.add(
        'EXH_TRUNCATED',
        'notes',
        `${source.name}: notes of ${size} bytes at ${offset}: ${bytes.length} are read`,
      );
    }
    notes.push(...parseNotes(bytes, offset, littleEndian, damage));
    if (room === 0) break;
  }
  return notes;
}

/** VMCOREINFO says the page size; where it is missing, 4096 is right on x86 and a harmless grain elsewhere. */
function pageSizeOf(vmcoreinfo: Uint8Array | undefined): number {
  if (vmcoreinfo === undefined) return 4096;
  const key = bytesOf('PAGESIZE=');
  const at = find(vmcoreinfo, key);
  const digits =
    at < 0 ? '' : new TextDecoder('latin1').decode(vmcoreinfo.subarray(at + key.length, at + key.length + 8));
  const size = Number.parseInt(digits, 10);
  return [4096, 8192, 16384, 32768, 65536].includes(size) ? size : 4096;
}

/** The first byte after the last one that a segment has in the file. */
function endOfData(loads: Segments): number {
  let end = 0;
  for (let i = 0; i < loads.count; i++) {
    if (loads.fileSize[i] === 0) continue;
    end = Math.max(end, (loads.fileOffset[i] as number) + (loads.fileSize[i] as number));
  }
  return end;
}

/** QEMU writes p_vaddr 0, or p_paddr once more, when it was not told to walk page tables: that says nothing. */
function spansOf(loads: Segments, physical: Float64Array): VirtualSpan[] {
  const spans: VirtualSpan[] = [];
  for (let i = 0; i < loads.count && spans.length < MAX_SPANS; i++) {
    const virtual = loads.virtual[i] as bigint;
    const at = physical[i] as number;
    if (virtual === 0n || (Number.isFinite(at) && virtual === BigInt(at))) continue;
    spans.push({
      virtual: virtualAddress(virtual),
      physical: Number.isFinite(at) ? (at as PhysicalAddress) : undefined,
      fileOffset: loads.fileOffset[i] as number,
      size: loads.memorySize[i] as number,
    });
  }
  return spans;
}

const NT_FILE = 0x46494c45;
const NT_AUXV = 6;

/** The kernel writes a process's memory with p_paddr 0 throughout, and its auxiliary vector or its mapped files. */
export function isProcessCore(loads: Segments, notes: readonly Note[]): boolean {
  if (loads.count < 2 || loads.physical.some((physical) => physical !== 0)) return false;
  return notes.some((note) => note.name === 'CORE' && (note.type === NT_AUXV || note.type === NT_FILE));
}

function processCore(source: ByteSource): ExhumeError {
  return new ExhumeError(
    'EXH_UNSUPPORTED_FORMAT',
    `${source.name} is the core of a process, not of a kernel: it has no physical memory`,
    {
      file: source.name,
      format: 'process core',
      hint: 'if it is a QEMU process, take a dump of its guest with dump-guest-memory instead; else use gdb',
    },
  );
}

/** xl dump-core keeps the pages in sections (.xen_pages), and has no program headers at all. */
function withoutSegments(source: ByteSource): ExhumeError {
  return new ExhumeError(
    'EXH_UNSUPPORTED_FORMAT',
    `${source.name} is an ELF core without program headers, as xl dump-core writes for a Xen guest`,
    {
      file: source.name,
      format: 'Xen core',
      hint: 'use crash, which reads it; or take the dump inside the guest, with kdump',
    },
  );
}

function notACore(source: ByteSource, header: ElfHeader): ExhumeError {
  const kinds = ['no type', 'a relocatable object', 'an executable', 'a shared object', 'a core'];
  const what = kinds[header.type] ?? `type ${header.type}`;
  return new ExhumeError(
    'EXH_UNSUPPORTED_FORMAT',
    `${source.name} is an ELF file, but ${what} and not a core: a vmlinux or a module, perhaps`,
    {
      file: source.name,
      offset: 16,
      expected: ET_CORE,
      found: header.type,
      format: 'ELF file that is no core',
      hint: 'name the memory dump instead: exhume needs no vmlinux',
    },
  );
}
