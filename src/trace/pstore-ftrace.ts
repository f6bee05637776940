import { viewOf } from '../bytes/struct-table.js';
import { traceFormats, USUAL_COMMON_FIELDS } from './formats/trace-formats.js';
import type { EventFormat, SubBuffer, Trace, TraceBuffer, TraceCpu } from './model.js';
import { type NamedKernel, NO_NAMES, type PlacedBuffer } from './open.js';

/**
 * pstore's own tracer of functions (`fs/pstore/ftrace.c`): `struct pstore_ftrace_record` of u64 ip, parent_ip and ts. The low
 * byte of ts is the CPU; the rest isn't a time but a counter of all CPUs.
 */
const RECORD_BYTES = 24;
/** Events that are put into one sub-buffer. */
const PER_SUB_BUFFER = 100;
const EVENT_BYTES = 24;
const TIME_STAMP = 31;
const FUNCTION = 1;
/** What pstore's file system makes of a record: `CPU:0 ts:17 ffffffff81000000  ffffffff81000010  f <- g+0x10/0x20`. */
const LINE = /^CPU:(\d+) ts:(\d+) ([0-9a-f]{8,16}) {2}([0-9a-f]{8,16}) /;
/** A function's own address lies this near its symbol. */
const ENTRY_BYTES = 16;
/** So many addresses tell where the kernel was. */
const PROBES = 1000;
const TOP_BIT = 1n << 63n;

/** One call, as pstore keeps it. */
export interface PstoreCall {
  readonly cpu: number;
  readonly counter: bigint;
  readonly ip: bigint;
  readonly parent: bigint;
}

const FORMAT: EventFormat = {
  id: FUNCTION,
  system: 'ftrace',
  name: 'function',
  fields: [
    { name: 'ip', type: 'unsigned long', offset: 8, size: 8, signed: false },
    { name: 'parent_ip', type: 'unsigned long', offset: 16, size: 8, signed: false },
  ],
  printFormat: '" %ps <-- %ps", (void *)(unsigned long) REC->ip, (void *)(unsigned long) REC->parent_ip',
};

/** The calls in a record: as it was kept (little endian, its end whole), or as pstore's file system shows it. */
export function pstoreCalls(bytes: Uint8Array): PstoreCall[] {
  const text = new TextDecoder('latin1').decode(bytes.subarray(0, 80));
  return LINE.test(text) ? callsOfText(new TextDecoder('latin1').decode(bytes)) : callsOfRecords(bytes);
}

function callsOfText(text: string): PstoreCall[] {
  return text.split('\n').flatMap((line) => {
    const [, cpu, counter, ip, parent] = LINE.exec(line) ?? [];
    if (cpu === undefined || counter === undefined) return [];
    return [{ cpu: Number(cpu), counter: BigInt(counter), ip: BigInt(`0x${ip}`), parent: BigInt(`0x${parent}`) }];
  });
}

function callsOfRecords(bytes: Uint8Array): PstoreCall[] {
  const view = viewOf(bytes);
  const calls: PstoreCall[] = [];
  // A ring that went round begins within a record.
  for (let at = bytes.length % RECORD_BYTES; at < bytes.length; at += RECORD_BYTES) {
    const stamp = view.getBigUint64(at + 16, true);
    calls.push({
      cpu: Number(stamp & 0xffn),
      counter: stamp >> 8n,
      ip: view.getBigUint64(at, true),
      parent: view.getBigUint64(at + 8, true),
    });
  }
  return calls;
}

/** Those calls, of all records together, as a trace of functions. Who called isn't kept. */
export function pstoreTrace(calls: readonly PstoreCall[]): Trace {
  const byCpu = new Map<number, PstoreCall[]>();
  for (const call of calls) {
    const own = byCpu.get(call.cpu) ?? [];
    own.push(call);
    byCpu.set(call.cpu, own);
  }
  const cpus = Array.from(byCpu, ([cpu, own]): TraceCpu => {
    own.sort((a, b) => (a.counter < b.counter ? -1 : a.counter > b.counter ? 1 : 0));
    const statistics = { entries: own.length, overrun: 0, commitOverrun: 0, droppedEvents: 0, readEvents: 0 };
    return { cpu, statistics, subBuffers: () => subBuffersOf(own) };
  }).sort((a, b) => a.cpu - b.cpu);
  const buffer: PlacedBuffer = {
    instance: undefined,
    snapshot: false,
    persistent: true,
    tracer: 'function',
    clock: 'counter',
    options: undefined,
    timeStart: undefined,
    recording: undefined,
    cpus,
    damage: [],
    placedIn: (kernel) => placeOf(calls, kernel),
  };
  return {
    source: 'ftrace records of pstore',
    release: undefined,
    littleEndian: true,
    longSize: 8,
    onlineCpus: undefined,
    formats: traceFormats(USUAL_COMMON_FIELDS, [FORMAT]),
    names: NO_NAMES,
    buffers: [buffer],
    clocks: undefined,
    damage: [],
  };
}

function* subBuffersOf(calls: readonly PstoreCall[]): Generator<SubBuffer> {
  const each = 8 + 4 + EVENT_BYTES;
  for (let first = 0; first < calls.length; first += PER_SUB_BUFFER) {
    const part = calls.slice(first, first + PER_SUB_BUFFER);
    const data = new Uint8Array(part.length * each);
    const view = viewOf(data);
    part.forEach(({ counter, ip, parent }, index) => {
      const at = index * each;
      view.setUint32(at, (TIME_STAMP | (Number(counter & 0x7ffffffn) << 5)) >>> 0, true);
      view.setUint32(at + 4, Number((counter >> 27n) & 0xffffffffn), true);
      view.setUint32(at + 8, EVENT_BYTES / 4, true);
      view.setUint16(at + 12, FUNCTION, true);
      // No process has this number.
      view.setInt32(at + 12 + 4, -1, true);
      view.setBigUint64(at + 12 + 8, ip, true);
      view.setBigUint64(at + 12 + 16, parent, true);
    });
    yield { timestamp: part[0]?.counter ?? 0n, data, lost: 0, consumed: 0 };
  }
}

/**
 * Up to 6.1 and somewhat later addresses are kept as they are; since then those of the kernel itself without its KASLR offset, those of
 * modules without their top bit. Which it is shows in where more of them are entries of functions.
 */
function placeOf(calls: readonly PstoreCall[], { names, kaslrOffset = 0n }: NamedKernel): TraceBuffer['relocate'] {
  const whole = (address: bigint): bigint => (address === 0n ? 0n : address | TOP_BIT);
  const moved = (address: bigint): bigint =>
    (address & TOP_BIT) === 0n ? whole(address) : BigInt.asUintN(64, address + kaslrOffset);
  const probes = calls.slice(-PROBES);
  const hits = (place: (address: bigint) => bigint): number =>
    probes.filter(({ ip }) => (names.symbol(place(ip))?.offset ?? ENTRY_BYTES) < ENTRY_BYTES).length;
  return hits(moved) > hits(whole) ? moved : whole;
}
