import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { Segment } from '../../machine/machine.js';
import type { ProcessMemory } from './process-memory.js';
import { heaps } from './ram-blocks.js';

/** A `struct CPUArchState` of x86 in QEMU's memory (QEMU target/i386/cpu.h), as far as it could be made out. */
export interface CpuStruct {
  /** Address of `eip`; what stands around it has been alike in all QEMUs since 1.3. */
  readonly eip: number;
  readonly rip: bigint;
  /** `eflags`, without what the translator keeps elsewhere. */
  readonly eflags: bigint;
  readonly condition: { readonly op: number; readonly dst: bigint; readonly src: bigint; readonly src2: bigint };
  /** 1 or -1: DF as the translator keeps it. */
  readonly direction: number;
  readonly hflags: number;
  /** cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt */
  readonly segments: readonly Segment[];
  /** cr0 … cr4 */
  readonly control: readonly bigint[];
}

/**
 * Between `eip` and `segs`: eflags, cc_dst, cc_src, cc_src2, cc_op and df, hflags and hflags2. Then six segments, LDT,
 * TR, GDT, IDT of 24 bytes each {selector, base, limit, flags}, and cr[5].
 */
const SEGMENTS_AT = 0x38;
const SEGMENT_BYTES = 24;
const SEGMENT_ORDER = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldt', 'tr', 'gdt', 'idt'] as const;
const CONTROL_AT = SEGMENTS_AT + SEGMENT_ORDER.length * SEGMENT_BYTES;
const CONTROL_COUNT = 5;
/** The known part of a CPU's state, from `eip` on. */
export const STRUCT_BYTES = CONTROL_AT + 8 * CONTROL_COUNT;

/** How far before `eip` a CPU's structure may begin: 0x1430 in QEMU 7.2, 0x4170 in 11.1. */
export const REACH = 0x10000;

/** PE, MP, EM, TS, ET, NE, WP, AM, NW, CD, PG: CR0 has no other bits, and ET is always set. */
const CR0_BITS = 0xe005_003f;
const CR0_ET = 0x10;
const CR0_PE = 1n;
/** MP, EM, TS. */
const CR0_COPIED = 0xen;
/** QEMU keeps PE, MP, EM and TS once more in hflags (HF_PE_SHIFT 7, HF_MP_SHIFT 9), whatever the accelerator. */
const HF_PE = 1 << 7;
const HF_COPIED = 0xe << 8;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
/** The highest bit that CR4 has so far is FRED's, 32. */
const CR4_END = 1n << 33n;
const PRESENT = 1 << 15;
/** S: a segment of code or data; clear for LDT and TR. */
const NOT_SYSTEM = 1 << 12;
const TYPE = 0xf;
const DESCRIPTOR_TYPE_SHIFT = 8;
const LDT_TYPE = 2;
/** Available and busy TSS, 16- and 32- or 64-bit. */
const TSS_TYPES = [1, 3, 9, 11];
const MAX_CPUS = 8192;

/** Finds the states of QEMU's CPUs by what a processor's registers can hold. In the order of their addresses. */
export function findCpuStructs(memory: ProcessMemory): CpuStruct[] {
  const { likely } = heaps(memory);
  const found: CpuStruct[] = [];
  memory.sweep(likely, (words, address) => {
    for (let i = 0; i < words.length; i += 2) {
      const cr0 = words[i] as number;
      if ((cr0 & CR0_ET) === 0 || words[i + 1] !== 0 || (cr0 & ~CR0_BITS) !== 0) continue;
      // CR1 and the upper half of CR4; what lies in the next piece is looked at below.
      if ((words[i + 2] ?? 0) !== 0 || (words[i + 3] ?? 0) !== 0 || (words[i + 9] ?? 0) > 1) continue;
      const one = structAt(memory, address + 4 * i - CONTROL_AT);
      if (one !== undefined) found.push(one);
      if (found.length === MAX_CPUS) return true;
    }
    return false;
  });
  return found;
}

function structAt(memory: ProcessMemory, eip: number): CpuStruct | undefined {
  const bytes = memory.bytes(eip, STRUCT_BYTES);
  if (bytes === undefined) return undefined;
  const view = viewOf(bytes);
  const control = Array.from({ length: CONTROL_COUNT }, (_, i) => view.getBigUint64(CONTROL_AT + 8 * i, true));
  if (!areControl(control)) return undefined;
  const segments: Segment[] = [];
  for (const [i, name] of SEGMENT_ORDER.entries()) {
    const segment = segmentAt(view, SEGMENTS_AT + i * SEGMENT_BYTES, name);
    if (segment === undefined) return undefined;
    segments.push(segment);
  }
  if (!areSegments(segments)) return undefined;
  const direction = view.getInt32(0x2c, true);
  const eflags = view.getBigUint64(8, true);
  const hflags = view.getUint32(0x30, true);
  // Bit 1 of EFLAGS is always set; it has 22.
  if ((direction !== 1 && direction !== -1 && direction !== 0) || eflags >> 22n !== 0n || (eflags & 2n) === 0n) {
    return undefined;
  }
  const [cr0 = 0n] = control;
  const copied = Number(((cr0 & CR0_PE) << 7n) | ((cr0 & CR0_COPIED) << 8n));
  if ((hflags & (HF_PE | HF_COPIED)) !== copied) return undefined;
  return {
    eip,
    rip: view.getBigUint64(0, true),
    eflags,
    condition: {
      dst: view.getBigUint64(0x10, true),
      src: view.getBigUint64(0x18, true),
      src2: view.getBigUint64(0x20, true),
      op: view.getUint32(0x28, true),
    },
    direction,
    hflags,
    segments,
    control,
  };
}

/** CR0, CR1 that is always 0, CR2, CR3, CR4: what they cannot be tells other words from them. */
function areControl([cr0 = 0n, cr1 = 0n, , cr3 = 0n, cr4 = 0n]: readonly bigint[]): boolean {
  if (cr1 !== 0n || cr4 >= CR4_END || cr3 >> 63n !== 0n) return false;
  if ((cr0 & CR0_PG) === 0n) return true;
  // A 64-bit kernel's: its page tables are somewhere, and it has PAE.
  return (cr0 & CR0_PE) !== 0n && (cr4 & CR4_PAE) !== 0n && cr3 >> 12n !== 0n;
}

function segmentAt(view: DataView, at: number, name: string): Segment | undefined {
  const selector = view.getUint32(at, true);
  if (selector > 0xffff) return undefined;
  const base: VirtualAddress = virtualAddress(view.getBigUint64(at + 8, true));
  return { name, selector, base, limit: view.getUint32(at + 16, true), flags: view.getUint32(at + 20, true) };
}

function areSegments(segments: readonly Segment[]): boolean {
  const of = (name: string): Segment | undefined => segments.find((segment) => segment.name === name);
  const [ldt, tr, gdt, idt, cs] = [of('ldt'), of('tr'), of('gdt'), of('idt'), of('cs')];
  if (ldt === undefined || tr === undefined || gdt === undefined || idt === undefined || cs === undefined) return false;
  const type = (segment: Segment): number => (segment.flags >>> DESCRIPTOR_TYPE_SHIFT) & TYPE;
  const isSystem = (segment: Segment): boolean => (segment.flags & NOT_SYSTEM) === 0;
  return (
    (tr.flags & PRESENT) !== 0 &&
    isSystem(tr) &&
    TSS_TYPES.includes(type(tr)) &&
    isSystem(ldt) &&
    ((ldt.flags & PRESENT) === 0 || type(ldt) === LDT_TYPE) &&
    gdt.limit <= 0xffff &&
    idt.limit <= 0xffff &&
    (cs.flags & PRESENT) !== 0 &&
    (cs.flags & NOT_SYSTEM) !== 0
  );
}
