import { hex, type PhysicalAddress, physicalAddress, virtualAddress } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import type { MissingState, PhysicalMemory } from '../dump/memory.js';
import type { VirtualMemory } from '../machine/virtual-memory.js';
import { isAbsence } from './absence.js';
import { parseAddress, parseHex } from './address.js';
import type { RdReport } from './schema/rd.js';
import { requireKernel, requireMachine, type Subject } from './subject.js';
import { damageOf, symbolOf } from './words.js';

export interface RdOptions {
  /** Of the address; `user` reads through the page table of a CPU. */
  readonly space: 'kernel' | 'physical' | 'user';
  /** Bits per value. */
  readonly unit: 8 | 16 | 32 | 64;
  /** How many values; with `string`, the longest text in bytes. */
  readonly count?: number | undefined;
  /** Name what the values point to. */
  readonly symbols?: boolean | undefined;
  /** Read a NUL-terminated text. */
  readonly string?: boolean | undefined;
  /** Whose page table `user` means; by default the CPU on which the kernel died, or the first. */
  readonly cpu?: number | undefined;
}

/** So much is answered at once; more is a job for `exhume convert` or a loop. */
const MOST_BYTES = 1 << 26;
const LONGEST_STRING = 4096;

const MISSING = {
  excluded: 'filtered out when the dump was written',
  lost: 'lost: the dump ended or broke before it was written',
  absent: 'no RAM that this dump describes',
  unmapped: 'not mapped',
} as const satisfies Record<MissingState | 'unmapped', string>;

/** Reads memory. What is missing is named in its place. Throws EXH_USAGE for counts out of bounds, EXH_NO_SYMBOL for unknown names. */
export function buildRd(subject: Subject, query: string, options: RdOptions): RdReport {
  const width = options.unit / 8;
  const length = options.string ? (options.count ?? LONGEST_STRING) : (options.count ?? 1) * width;
  if (!Number.isInteger(length) || length < 1 || length > MOST_BYTES) {
    throw new ExhumeError(
      'EXH_USAGE',
      `a count of ${options.count} is out of bounds: 1 byte to 64 MiB are read at once`,
      {
        found: options.count ?? 0,
      },
    );
  }
  const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
  const address =
    options.space === 'physical' ? physicalAddress(parseHex(query)) : parseAddress(query, kernel?.symbols);
  const fetched = fetch(readerOf(subject, options), BigInt(address), length);
  const end = options.string ? stringEnd(fetched) : length;
  const runs = runsOf(fetched, BigInt(address), end, options.string ? 1 : width, littleEndian(subject));
  const damage = damageOf(subject);
  return {
    schema: 'exhume-rd/1',
    complete: damage.length === 0 && runs.every((run) => !('missing' in run)),
    query,
    space: options.space,
    address: hex(address),
    symbol: options.space === 'kernel' ? symbolOf(kernel, BigInt(address)) : null,
    unit: options.string ? 8 : options.unit,
    bytes: end,
    runs: options.symbols
      ? runs.map((run) =>
          'values' in run ? { ...run, symbols: run.values.map((v) => symbolOf(kernel, BigInt(v))) } : run,
        )
      : runs,
    string: options.string ? utf8.decode(fetched.bytes.subarray(0, firstMissing(fetched, end))) : null,
    damage,
  };
}

function littleEndian({ container }: Subject): boolean {
  return container.littleEndian;
}

/** Copies what there is of a span that does not cross a page; says why when there is nothing. */
type PageReader = (address: bigint, into: Uint8Array) => MissingState | 'unmapped' | undefined;

function readerOf(subject: Subject, options: RdOptions): PageReader {
  const machine = requireMachine(subject);
  const { kernel } = subject;
  if (options.space === 'physical')
    return (address, into) => readPhysical(machine.memory, physicalAddress(address), into);
  if (options.space === 'user') {
    const index = options.cpu ?? (isAbsence(kernel) ? undefined : kernel.panicCpu) ?? 0;
    const cpu = machine.cpus[index];
    // The candidates begin with the kernel's own table; the last one is what the CPU itself was using.
    const root = cpu === undefined ? undefined : machine.rootsOf(cpu).at(-1);
    if (root === undefined) {
      throw new ExhumeError(
        'EXH_NOT_MAPPED',
        `the dump does not hold the page table that CPU ${index} was using (cr3)`,
        {
          found: index,
          hint: "QEMU's dumps hold it; name another CPU with --cpu",
        },
      );
    }
    return throughTable(machine.pageTable(root.root, root.levels));
  }
  return throughTable(requireKernel(subject).memory);
}

function throughTable(table: VirtualMemory): PageReader {
  return (address, into) => {
    const physical = table.translate(virtualAddress(address));
    return physical === undefined ? 'unmapped' : readPhysical(table.physical, physical, into);
  };
}

function readPhysical(memory: PhysicalMemory, address: PhysicalAddress, into: Uint8Array): MissingState | undefined {
  return memory.tryRead(address, into)?.state;
}

/** Bytes, and for each stretch without any why. */
interface Fetched {
  readonly bytes: Uint8Array;
  /** Ascending, by offset; not overlapping. */
  readonly holes: readonly { readonly start: number; readonly end: number; readonly why: string }[];
}

/** Bytes of one page at the most are read at once, so that a hole is as small as a page. */
const PAGE = 4096n;

function fetch(read: PageReader, address: bigint, length: number): Fetched {
  const bytes = new Uint8Array(length);
  const holes: { start: number; end: number; why: string }[] = [];
  for (let done = 0; done < length; ) {
    const at = BigInt.asUintN(64, address + BigInt(done));
    const size = Math.min(Number(PAGE - (at % PAGE)), length - done);
    const missing = read(at, bytes.subarray(done, done + size));
    if (missing !== undefined) {
      const why = MISSING[missing];
      const last = holes.at(-1);
      if (last !== undefined && last.end === done && last.why === why) last.end = done + size;
      else holes.push({ start: done, end: done + size, why });
    }
    done += size;
  }
  return { bytes, holes };
}

/** Where the text ends: at its NUL, at the first hole's end, or with what was read. */
function stringEnd({ bytes, holes }: Fetched): number {
  const nul = bytes.indexOf(0);
  const hole = holes[0];
  if (hole !== undefined && (nul < 0 || hole.start <= nul)) return hole.end;
  return nul < 0 ? bytes.length : nul;
}

function firstMissing({ holes }: Fetched, end: number): number {
  return Math.min(holes[0]?.start ?? end, end);
}

type Run = RdReport['runs'][number];

/** Cuts what was read into runs of values and the holes between them. A value that a hole touches is missing whole. */
function runsOf(fetched: Fetched, address: bigint, length: number, width: number, little: boolean): Run[] {
  const runs: Run[] = [];
  let at = 0;
  for (const hole of fetched.holes) {
    if (hole.start >= length) break;
    const from = Math.max(at, Math.floor(hole.start / width) * width);
    const to = Math.min(length, Math.ceil(hole.end / width) * width);
    if (from > at) runs.push(valuesRun(fetched.bytes.subarray(at, from), address + BigInt(at), width, little));
    if (to > from) runs.push({ address: hexAt(address, from), bytes: to - from, missing: hole.why });
    at = Math.max(at, to);
  }
  if (at < length) runs.push(valuesRun(fetched.bytes.subarray(at, length), address + BigInt(at), width, little));
  return runs;
}

function hexAt(address: bigint, offset: number): string {
  return hex(BigInt.asUintN(64, address + BigInt(offset)));
}

function valuesRun(bytes: Uint8Array, address: bigint, width: number, little: boolean): Run {
  const values: string[] = [];
  for (let at = 0; at + width <= bytes.length; at += width) {
    let digits = '';
    for (let i = 0; i < width; i++) {
      digits += (bytes[little ? at + width - 1 - i : at + i] ?? 0).toString(16).padStart(2, '0');
    }
    values.push(`0x${digits}`);
  }
  return { address: hexAt(address, 0), values, symbols: null, ascii: ascii(bytes) };
}

const utf8 = new TextDecoder();

function ascii(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
  return text;
}
