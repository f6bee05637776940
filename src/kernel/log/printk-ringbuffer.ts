import { hex, type VirtualAddress } from '../../bytes/address.js';
import { isExhumeError, orUndefined } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import type { Layouts } from '../layouts.js';
import {
  callerOf,
  type DictionaryEntry,
  decodeText,
  flagsAndLevel,
  gapsBetween,
  type KernelLog,
  type LogExecution,
  type LogRecord,
  type LostRecords,
  type PendingRecord,
} from './record.js';
import { Region } from './region.js';
import { badStructure, type LogSource, MOST_RECORDS, requireOffset, requireSize, Tally } from './source.js';

/** 16 million messages; the largest `log_buf_len` that fits a machine stays below. */
const MOST_COUNT_BITS = 24;
/** The kernel takes `log_buf_len` up to 2 GiB. */
const MOST_SIZE_BITS = 31;
const WORD = 8;
/** An id has 62 bits, the state the two above: the upper half of `state_var` without its state. */
const ID_HIGH_MASK = 0x3fffffff;

const RESERVED = 0;
const COMMITTED = 1;
const FINALIZED = 2;
const REUSABLE = 3;

/** `begin` and `next` of a record that is an empty line, and so has no block (EMPTY_LINE_LPOS). */
const EMPTY_LINE = 3;

/**
 * Reads the lockless ring buffer of kernels since 5.10 (kernel/printk/printk_ringbuffer.h) of a 64-bit kernel:
 * a ring of descriptors, a ring of infos beside it, a ring of text. All offsets and sizes come from the image.
 *
 * Committed and finalized records become records. A reserved one, which some CPU was writing, becomes a pending one
 * when there is something to show. A record that cannot be read whole is kept as far as it goes, and is damage.
 *
 * Where the dump tells no offsets, the layouts that 64-bit kernels have had so far are tried, and one is taken only
 * if everything agrees in it: ids, sequence numbers, texts and their owners.
 *
 * Throws EXH_NO_LAYOUT when the dump tells no offsets and none of those fits, EXH_BAD_STRUCTURE when the ring's own fields
 * make no sense, and memory's errors when the ring cannot be read at all.
 * @param pointer the address of the variable `prb`, a pointer
 */
export function readPrintkRingbuffer(source: LogSource, pointer: VirtualAddress): KernelLog {
  const { memory } = source;
  const address = memory.pointer(pointer);
  const read = (layout: RingLayout) => new RingReader(memory, readRing(memory, address, layout), layout).read();
  try {
    return read(ringLayout(source));
  } catch (error) {
    if (!isExhumeError(error, 'EXH_NO_LAYOUT')) throw error;
    for (const layout of USUAL_LAYOUTS) {
      const log = orUndefined(() => read(layout));
      if (log !== undefined && log.damage.length === 0 && log.records.length > 0) {
        return { ...log, source: `${log.source} (this dump does not tell its layout; one fits)` };
      }
    }
    throw error;
  }
}

interface RingLayout {
  readonly ring: {
    readonly countBits: number;
    readonly descs: number;
    readonly infos: number;
    readonly headId: number;
    readonly tailId: number;
    readonly sizeBits: number;
    readonly data: number;
  };
  readonly desc: { readonly size: number; readonly state: number; readonly begin: number; readonly next: number };
  readonly info: InfoLayout;
}

interface InfoLayout {
  readonly size: number;
  readonly seq: number;
  readonly time: number;
  readonly textLength: number;
  readonly facility: number;
  readonly flags: number;
  readonly caller: number;
  readonly subsystem: Span;
  readonly device: Span;
  readonly execution: { readonly caller: number; readonly comm: Span } | undefined;
}

interface Span {
  readonly offset: number;
  readonly length: number;
}

/** The layouts of 64-bit kernels: with `last_finalized_id` in the ring or without, with the execution context in infos or without. */
const USUAL_LAYOUTS: readonly RingLayout[] = [40, 48].flatMap((textRing) =>
  [24, 44].map((device): RingLayout => {
    const info = { seq: 0, time: 8, textLength: 16, facility: 18, flags: 19, caller: 20 };
    return {
      ring: {
        countBits: 0,
        descs: 8,
        infos: 16,
        headId: 24,
        tailId: 32,
        sizeBits: textRing,
        data: textRing + 8,
      },
      desc: { size: 24, state: 0, begin: 8, next: 16 },
      info: {
        ...info,
        size: device === 24 ? 88 : 112,
        subsystem: { offset: device, length: 16 },
        device: { offset: device + 16, length: 48 },
        execution: device === 24 ? undefined : { caller: 24, comm: { offset: 28, length: 16 } },
      },
    };
  }),
);

function ringLayout(source: LogSource): RingLayout {
  const { layouts } = source;
  const offset = (struct: string, member: string) => requireOffset(layouts, struct, member);
  const counter = layouts.offset('atomic_long_t', 'counter') ?? 0;
  const descRing = offset('printk_ringbuffer', 'desc_ring');
  const textRing = offset('printk_ringbuffer', 'text_data_ring');
  const block = offset('prb_desc', 'text_blk_lpos');
  const layout: RingLayout = {
    ring: {
      countBits: descRing + offset('prb_desc_ring', 'count_bits'),
      descs: descRing + offset('prb_desc_ring', 'descs'),
      infos: descRing + offset('prb_desc_ring', 'infos'),
      headId: descRing + offset('prb_desc_ring', 'head_id') + counter,
      tailId: descRing + offset('prb_desc_ring', 'tail_id') + counter,
      sizeBits: textRing + offset('prb_data_ring', 'size_bits'),
      data: textRing + offset('prb_data_ring', 'data'),
    },
    desc: {
      size: requireSize(layouts, 'prb_desc'),
      state: offset('prb_desc', 'state_var') + counter,
      begin: block + offset('prb_data_blk_lpos', 'begin'),
      next: block + offset('prb_data_blk_lpos', 'next'),
    },
    info: infoLayout(source, offset),
  };
  checkInside('prb_desc', layout.desc.size, [layout.desc.state, layout.desc.begin, layout.desc.next], WORD);
  return layout;
}

function infoLayout(source: LogSource, offset: (struct: string, member: string) => number): InfoLayout {
  const { layouts } = source;
  const size = requireSize(layouts, 'printk_info');
  const textLength = offset('printk_info', 'text_len');
  const caller = offset('printk_info', 'caller_id');
  const device = offset('printk_info', 'dev_info');
  // VMCOREINFO leaves out the two bytes after text_len: facility, and flags with level.
  const facility = layouts.offset('printk_info', 'facility') ?? textLength + 2;
  const info: InfoLayout = {
    size,
    seq: offset('printk_info', 'seq'),
    time: offset('printk_info', 'ts_nsec'),
    textLength,
    facility,
    flags: facility + 1,
    caller,
    subsystem: deviceSpan(source, device, 'subsystem', 16),
    device: deviceSpan(source, device, 'device', 48),
    execution: executionLayout(layouts, caller, device),
  };
  const { seq, time, flags, subsystem, device: name } = info;
  checkInside('printk_info', size, [seq, time, textLength, flags, caller], 1);
  checkInside('printk_info', size, [seq, time], WORD);
  checkInside('printk_info', size, [textLength, caller], 2);
  checkInside('printk_info', size, [caller], 4);
  for (const { offset: at, length } of [subsystem, name, info.execution?.comm ?? subsystem]) {
    checkInside('printk_info', size, [at], length);
  }
  return info;
}

function deviceSpan(source: LogSource, base: number, member: string, usual: number): Span {
  const length =
    source.vmcoreinfo?.length(`printk_info_${member}`) ?? source.layouts.memberSize('dev_printk_info', member) ?? usual;
  return { offset: base + requireOffset(source.layouts, 'dev_printk_info', member), length };
}

/** CONFIG_PRINTK_EXECUTION_CTX puts `u32 caller_id2; char comm[16];` between caller_id and dev_info. */
function executionLayout(layouts: Layouts, caller: number, device: number): InfoLayout['execution'] {
  const told = layouts.offset('printk_info', 'caller_id2');
  const comm = layouts.offset('printk_info', 'comm');
  if (told !== undefined && comm !== undefined) {
    return { caller: told, comm: { offset: comm, length: layouts.memberSize('printk_info', 'comm') ?? 16 } };
  }
  return device - caller === 24 ? { caller: caller + 4, comm: { offset: caller + 8, length: 16 } } : undefined;
}

function checkInside(struct: string, size: number, offsets: readonly number[], length: number): void {
  for (const offset of offsets) {
    if (offset + length > size || size > 1 << 16) {
      throw badStructure(`${struct} of ${size} bytes has no room for a member at ${offset}`, 0n, offset);
    }
  }
}

/** A 64-bit word in halves: ids are compared once for each descriptor. */
interface Halves {
  readonly low: number;
  readonly high: number;
}

interface Ring {
  readonly address: VirtualAddress;
  /** How many descriptors; a power of two. */
  readonly count: number;
  readonly descs: VirtualAddress;
  readonly infos: VirtualAddress;
  readonly head: Halves;
  readonly tail: Halves;
  /** Bytes of text; a power of two. */
  readonly textSize: number;
  readonly text: VirtualAddress;
}

function readRing(memory: VirtualMemory, address: VirtualAddress, { ring }: RingLayout): Ring {
  const countBits = memory.u32(address + BigInt(ring.countBits));
  const sizeBits = memory.u32(address + BigInt(ring.sizeBits));
  if (countBits === 0 || countBits > MOST_COUNT_BITS) {
    throw badStructure(`the ring at ${hex(address)} has 2^${countBits} descriptors`, address, countBits);
  }
  if (sizeBits < 4 || sizeBits > MOST_SIZE_BITS) {
    throw badStructure(`the ring at ${hex(address)} has 2^${sizeBits} bytes of text`, address, sizeBits);
  }
  const id = (offset: number): Halves => {
    const value = memory.u64(address + BigInt(offset));
    return { low: Number(value & 0xffffffffn), high: Number(value >> 32n) & ID_HIGH_MASK };
  };
  return {
    address,
    count: 2 ** countBits,
    descs: memory.pointer(address + BigInt(ring.descs)),
    infos: memory.pointer(address + BigInt(ring.infos)),
    head: id(ring.headId),
    tail: id(ring.tailId),
    textSize: 2 ** sizeBits,
    text: memory.pointer(address + BigInt(ring.data)),
  };
}

/** Where a record's text lies in the text ring. */
interface Block {
  /** Offset of the text's first byte, after the block's id. */
  readonly offset: number;
  /** Bytes that it may have. */
  readonly room: number;
}

class RingReader {
  private readonly tally = new Tally();
  private readonly descs: Region;
  private readonly infos: Region;
  private readonly text: Region;
  private readonly littleEndian: boolean;
  private readonly records: (LogRecord & { sequence: number })[] = [];
  private readonly pending: { record: LogRecord; sequence: number }[] = [];
  private readonly firstHalf: number;
  /** The upper half of the last sequence number that was in order. */
  private sequenceHigh = 0;
  /** The number after the last message that a descriptor was given to. */
  private nextSequence = 0;

  constructor(
    memory: VirtualMemory,
    private readonly ring: Ring,
    private readonly layout: RingLayout,
  ) {
    this.descs = new Region(memory, ring.descs, ring.count * layout.desc.size);
    this.infos = new Region(memory, ring.infos, ring.count * layout.info.size);
    this.text = new Region(memory, ring.text, ring.textSize);
    this.littleEndian = memory.littleEndian;
    this.firstHalf = memory.littleEndian ? 0 : 4;
  }

  read(): KernelLog {
    const { ring } = this;
    // Ids count modulo 2^62. A tail ahead of the head comes out negative.
    const span = ((ring.head.high - ring.tail.high) & ID_HIGH_MASK) * 2 ** 32 + ring.head.low - ring.tail.low + 1;
    if (span > 0 && span <= ring.count) {
      this.walk(span);
    } else {
      const ids = `${span} descriptors between tail and head, ${ring.count} in the ring`;
      this.tally.add('EXH_BAD_STRUCTURE', 'the ring has lost its ends; all of its descriptors were looked at', ids);
      this.sweep();
    }
    this.tally.addRegion('descriptors', this.descs);
    this.tally.addRegion('infos', this.infos);
    this.tally.addRegion('text', this.text);
    return {
      format: 'printk_ringbuffer',
      source: `prb at ${hex(ring.address)}: ${ring.count} descriptors, ${ring.textSize} bytes of text`,
      records: this.records,
      pending: this.pending.map(({ record, sequence }): PendingRecord => {
        const after = this.records.findIndex((other) => other.sequence > sequence);
        return { ...record, after: after < 0 ? this.records.length : after };
      }),
      lost: this.lost(),
      joinsContinuations: false,
      damage: this.tally.damage(),
    };
  }

  private lost(): LostRecords {
    const known = [...this.records, ...this.pending].map(({ sequence }) => sequence).sort((a, b) => a - b);
    return { atStart: known[0] ?? this.nextSequence, gaps: gapsBetween(known, this.nextSequence) };
  }

  /** From tail to head, as the kernel's own readers go. */
  private walk(span: number): void {
    const { tail, count } = this.ring;
    for (let i = 0; i < span; i++) {
      const low = (tail.low + i) % 2 ** 32;
      const high = (tail.high + (tail.low + i >= 2 ** 32 ? 1 : 0)) & ID_HIGH_MASK;
      const desc = this.desc(low % count);
      if (desc === undefined) {
        this.printed(low);
        continue;
      }
      const state = this.high(desc, this.layout.desc.state);
      const matches = this.low(desc, this.layout.desc.state) === low && (state & ID_HIGH_MASK) === high;
      if (matches) {
        this.take(desc, { low, high }, state >>> 30);
      } else if (state >>> 30 !== REUSABLE) {
        // A reusable one is about to be taken for this id: the writer had moved the head, and no more.
        this.tally.add('EXH_BAD_STRUCTURE', 'a descriptor holds another id than its place asks for', `id ${low}`);
      }
    }
  }

  /** Every descriptor that says that it holds a record in its own place. */
  private sweep(): void {
    for (let index = 0; index < this.ring.count; index++) {
      const desc = this.desc(index);
      if (desc === undefined) continue;
      const low = this.low(desc, this.layout.desc.state);
      const state = this.high(desc, this.layout.desc.state);
      if (low % this.ring.count !== index) continue;
      if (state >>> 30 === COMMITTED || state >>> 30 === FINALIZED) {
        this.take(desc, { low, high: state & ID_HIGH_MASK }, state >>> 30);
      }
    }
    this.records.sort((a, b) => a.sequence - b.sequence);
  }

  private take(desc: DataView, id: Halves, state: number): void {
    if (state === REUSABLE) return;
    if (this.records.length >= MOST_RECORDS) {
      this.tally.add('EXH_BAD_STRUCTURE', `more than ${MOST_RECORDS} records: the rest was not read`, `id ${id.low}`);
      return;
    }
    const info = this.info(id.low % this.ring.count);
    if (info === undefined) {
      this.printed(id.low);
      return;
    }
    const sequence = this.sequence(info, id);
    if (state === RESERVED) {
      this.takePending(desc, info, id, sequence);
      return;
    }
    const text = this.textOf(desc, info, id, sequence);
    if (text !== undefined) this.records.push({ ...this.describe(info, text), sequence });
  }

  /**
   * The first id of a ring is -count, modulo 2^32 or 2^62, and the first sequence number 0:
   * so their lower halves tell each other.
   */
  private sequence(info: DataView, id: Halves): number {
    const { seq } = this.layout.info;
    const high = this.high(info, seq);
    if (this.low(info, seq) === (id.low + this.ring.count) % 2 ** 32 && high < 2 ** 21) {
      this.sequenceHigh = high;
    } else {
      this.tally.add('EXH_BAD_STRUCTURE', 'a sequence number does not go with its id', `id ${id.low}`);
    }
    return this.printed(id.low);
  }

  /** The sequence number of an id, by its lower half: that message was printed, whether it can be read or not. */
  private printed(low: number): number {
    const sequence = this.sequenceHigh * 2 ** 32 + ((low + this.ring.count) % 2 ** 32);
    this.nextSequence = Math.max(this.nextSequence, sequence + 1);
    return sequence;
  }

  private textOf(desc: DataView, info: DataView, id: Halves, sequence: number): string | undefined {
    const { begin, next } = this.layout.desc;
    const length = info.getUint16(this.layout.info.textLength, this.littleEndian);
    const where = `sequence ${sequence}`;
    if ((this.low(desc, begin) & this.low(desc, next) & 1) === 1) {
      // No block: an empty line, or a message for which there was no room, of which nothing is left.
      return this.low(desc, begin) === EMPTY_LINE && this.low(desc, next) === EMPTY_LINE ? '' : undefined;
    }
    const block = this.block(desc);
    if (block === undefined) {
      this.tally.add('EXH_BAD_STRUCTURE', 'a record says nonsense about where its text is', where);
      return undefined;
    }
    const head = this.text.bytes(block.offset - WORD, WORD);
    const bytes = this.text.bytes(block.offset, Math.min(length, block.room));
    // The region counts its pages that cannot be read.
    if (head === undefined || bytes === undefined) return undefined;
    if (!this.isFor(viewOf(head), id)) {
      this.tally.add('EXH_BAD_STRUCTURE', "a record's text was overwritten by another record", where);
    }
    if (length > block.room) this.tally.add('EXH_BAD_STRUCTURE', "a record's text is cut off", where);
    return decodeText(bytes);
  }

  /**
   * From `begin` to `next`, logical positions that count on for ever: a block that would cross the end of the ring
   * lies at its start instead, and the rest of the ring's end stays unused.
   */
  private block(desc: DataView): Block | undefined {
    const { begin, next } = this.layout.desc;
    const { textSize } = this.ring;
    const beginLow = this.low(desc, begin);
    const length = ((this.high(desc, next) - this.high(desc, begin)) >>> 0) * 2 ** 32 + this.low(desc, next) - beginLow;
    const start = beginLow % textSize;
    if (length < 0 || length > textSize || beginLow % WORD !== 0 || length % WORD !== 0) return undefined;
    const wraps = start + length > textSize;
    const room = (wraps ? start + length - textSize : length) - WORD;
    return room <= 0 ? undefined : { offset: (wraps ? 0 : start) + WORD, room };
  }

  /** What a CPU had written of a message when everything stopped. Text goes in first, then the info, then the state. */
  private takePending(desc: DataView, info: DataView, id: Halves, sequence: number): void {
    const block = this.block(desc);
    if (block === undefined) return;
    const head = this.text.bytes(block.offset - WORD, WORD);
    const bytes = this.text.bytes(block.offset, Math.min(block.room, 2048));
    // Before the block is marked as this record's, what lies there is an older record's.
    if (head === undefined || bytes === undefined || !this.isFor(viewOf(head), id)) return;
    const length = info.getUint16(this.layout.info.textLength, this.littleEndian);
    const end = bytes.indexOf(0);
    const written = bytes.subarray(0, length > 0 ? length : end < 0 ? bytes.length : end);
    // KERN_SOH and a level stand before the text until the message is stored.
    const start = written[0] === 1 ? 2 : 0;
    const text = decodeText(written.subarray(start)).replace(/\n$/, '');
    if (text === '' || !/^[\t\n\u0020-\u007e\u00a0-\u{10ffff}]*$/u.test(text)) return;
    this.pending.push({ record: { ...this.describe(info, text), sequence }, sequence });
  }

  private describe(info: DataView, text: string): Omit<LogRecord, 'sequence'> {
    const { info: layout } = this.layout;
    return {
      timeNanoseconds: info.getBigUint64(layout.time, this.littleEndian),
      facility: info.getUint8(layout.facility),
      ...flagsAndLevel(info.getUint8(layout.flags), this.littleEndian),
      caller: callerOf(info.getUint32(layout.caller, this.littleEndian)),
      execution: this.execution(info),
      text,
      dictionary: this.dictionary(info),
    };
  }

  private execution(info: DataView): LogExecution | undefined {
    const { info: layout } = this.layout;
    if (layout.execution === undefined) return undefined;
    const callers = [layout.caller, layout.execution.caller].map((at) => info.getUint32(at, this.littleEndian));
    const cpu = callers.find((id) => callerOf(id).kind === 'cpu');
    const task = callers.find((id) => callerOf(id).kind === 'task');
    const comm = stringAt(info, layout.execution.comm);
    return cpu === undefined || task === undefined ? undefined : { pid: task, cpu: callerOf(cpu).id, comm };
  }

  private dictionary(info: DataView): DictionaryEntry[] {
    const { subsystem, device } = this.layout.info;
    const entries = [
      { key: 'SUBSYSTEM', value: stringAt(info, subsystem) },
      { key: 'DEVICE', value: stringAt(info, device) },
    ];
    return entries.filter((entry) => entry.value !== '');
  }

  private isFor(block: DataView, id: Halves): boolean {
    return this.low(block, 0) === id.low && this.high(block, 0) === id.high;
  }

  private desc(index: number): DataView | undefined {
    return this.view(this.descs, index, this.layout.desc.size);
  }

  private info(index: number): DataView | undefined {
    return this.view(this.infos, index, this.layout.info.size);
  }

  private view(region: Region, index: number, size: number): DataView | undefined {
    const bytes = region.bytes(index * size, size);
    return bytes === undefined ? undefined : viewOf(bytes);
  }

  private low(view: DataView, at: number): number {
    return view.getUint32(at + this.firstHalf, this.littleEndian);
  }

  private high(view: DataView, at: number): number {
    return view.getUint32(at + 4 - this.firstHalf, this.littleEndian);
  }
}

function stringAt(view: DataView, { offset, length }: Span): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, length);
  const end = bytes.indexOf(0);
  return decodeText(end < 0 ? bytes : bytes.subarray(0, end));
}
