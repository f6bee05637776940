import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import { structTable, u8, u16, u32, viewOf } from '../../bytes/struct-table.js';
import type { Segment } from '../machine.js';
import type { VirtualMemory } from '../virtual-memory.js';

/** Bytes of an interrupt gate in 64-bit mode, and how many an interrupt descriptor table has at the most. */
export const GATE_BYTES = 16;
export const MOST_GATES = 256;
/** Bytes of a segment descriptor; those of a TSS and an LDT take two places in 64-bit mode. */
export const DESCRIPTOR_BYTES = 8;
/** A global descriptor table is at most 64 KiB; Linux's has 16 entries. */
const MOST_DESCRIPTORS = 8192;

/** A 64-bit interrupt or trap gate, little-endian (Intel SDM vol. 3, "64-Bit Mode IDT"). */
export const GATE = structTable('gate_desc', GATE_BYTES, {
  offset_low: u16(0),
  segment: u16(2),
  ist: u8(4),
  type: u8(5),
  offset_middle: u16(6),
  offset_high: u32(8),
  reserved: u32(12),
});

/** An interrupt gate: where the processor goes on an interrupt or exception. */
export interface InterruptGate {
  readonly vector: number;
  /** Virtual address of the handler. */
  readonly handler: VirtualAddress;
  /** Code-segment selector; 0x10 in Linux. */
  readonly selector: number;
  /** Interrupt stack, 1 to 7; 0: the stack in use. */
  readonly stack: number;
  readonly kind: 'interrupt' | 'trap' | 'other';
  /** Who may raise it with an instruction: 3 is user mode. */
  readonly privilege: number;
  readonly present: boolean;
}

/** A segment descriptor of a global descriptor table. */
export interface SegmentDescriptor {
  /** Offset in the table, in bytes: the selector without its privilege bits. */
  readonly selector: number;
  readonly base: VirtualAddress;
  /** Last valid offset, in bytes. */
  readonly limit: number;
  readonly kind: 'code' | 'data' | 'tss' | 'ldt' | 'other';
  /** 64-bit code. */
  readonly long: boolean;
  readonly privilege: number;
  readonly present: boolean;
}

/** Gates out of the bytes of an interrupt descriptor table; a last one that is cut off is left out. */
export function decodeGates(bytes: Uint8Array): InterruptGate[] {
  const view = viewOf(bytes);
  const count = Math.min(MOST_GATES, Math.floor(bytes.length / GATE_BYTES));
  return Array.from({ length: count }, (_, vector): InterruptGate => {
    const gate = GATE.read(view, vector * GATE_BYTES);
    const handler = (BigInt(gate.offset_high) << 32n) | BigInt(gate.offset_middle * 0x1_0000 + gate.offset_low);
    const type = gate.type & 0xf;
    return {
      vector,
      handler: virtualAddress(handler),
      selector: gate.segment,
      stack: gate.ist & 7,
      kind: type === 0xe ? 'interrupt' : type === 0xf ? 'trap' : 'other',
      privilege: (gate.type >> 5) & 3,
      present: (gate.type & 0x80) !== 0,
    };
  });
}

/**
 * Reads the interrupt descriptor table that a CPU's `idt` register names. Undefined where it is not in the dump.
 * Every present gate of Linux's leads into the kernel's text, so it tells where that is when nothing else does.
 */
export function readGates(memory: VirtualMemory, idt: Segment): InterruptGate[] | undefined {
  const bytes = readTable(memory, idt, MOST_GATES * GATE_BYTES);
  return bytes && decodeGates(bytes);
}

/** Descriptors out of the bytes of a global descriptor table; empty places are left out. */
export function decodeDescriptors(bytes: Uint8Array): SegmentDescriptor[] {
  const view = viewOf(bytes);
  const descriptors: SegmentDescriptor[] = [];
  const end = Math.min(MOST_DESCRIPTORS * DESCRIPTOR_BYTES, bytes.length);
  for (let at = 0; at + DESCRIPTOR_BYTES <= end; at += DESCRIPTOR_BYTES) {
    const low = view.getUint32(at, true);
    const high = view.getUint32(at + 4, true);
    if (low === 0 && high === 0) continue;
    const type = (high >>> 8) & 0x1f;
    const kind = kindOf(type);
    const limit = (low & 0xffff) | (high & 0xf_0000);
    let base = BigInt(((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff00_0000)) >>> 0);
    const selector = at;
    if ((kind === 'tss' || kind === 'ldt') && at + 2 * DESCRIPTOR_BYTES <= end) {
      at += DESCRIPTOR_BYTES;
      base |= BigInt(view.getUint32(at, true)) << 32n;
    }
    descriptors.push({
      selector,
      base: virtualAddress(base),
      limit: (high & 0x80_0000) !== 0 ? limit * 4096 + 4095 : limit,
      kind,
      long: kind === 'code' && (high & 0x20_0000) !== 0,
      privilege: (high >>> 13) & 3,
      present: (high & 0x8000) !== 0,
    });
  }
  return descriptors;
}

/** Reads the global descriptor table that a CPU's `gdt` register names. Undefined where it is not in the dump. */
export function readDescriptors(memory: VirtualMemory, gdt: Segment): SegmentDescriptor[] | undefined {
  const bytes = readTable(memory, gdt, MOST_DESCRIPTORS * DESCRIPTOR_BYTES);
  return bytes && decodeDescriptors(bytes);
}

/** By the type field and the S bit above it (Intel SDM vol. 3, "Segment Descriptors"). */
function kindOf(type: number): SegmentDescriptor['kind'] {
  if ((type & 0x18) === 0x18) return 'code';
  if ((type & 0x10) !== 0) return 'data';
  if (type === 9 || type === 11) return 'tss';
  return type === 2 ? 'ldt' : 'other';
}

function readTable(memory: VirtualMemory, register: Segment, most: number): Uint8Array | undefined {
  try {
    return memory.bytes(register.base, Math.min(register.limit + 1, most));
  } catch (error) {
    if (isExhumeError(error)) return undefined;
    throw error;
  }
}
