import { type ByteSource, MemorySource, readUpTo } from '../../bytes/byte-source.js';
import { type Damage, ExhumeError, isExhumeError } from '../../bytes/errors.js';
import type { Decoder, Decoders } from '../../codecs/codec.js';
import { portableDecoders } from '../../codecs/decoders.js';
import { parseFormatFile } from '../formats/format-file.js';
import { namesOfText } from '../formats/names-text.js';
import { traceFormats, USUAL_COMMON_FIELDS } from '../formats/trace-formats.js';
import type { EventFormat, Trace, TraceBuffer, TraceCpu, TraceField, TraceStatistics } from '../model.js';
import { subBuffersIn } from '../ring/raw-pages.js';
import { ByteReader } from './byte-reader.js';
import {
  FLYRECORD_TEXT,
  HEADER_EVENT_TEXT,
  HEADER_PAGE_TEXT,
  OPTIONS_TEXT,
  SECTION_COMPRESSED,
  SECTION_HEADER,
  TRACE_DAT_MAGIC,
  TraceDatOption,
} from './trace-dat.js';

/** More systems, events, CPUs or options than any kernel has are damage. */
const MOST_FORMATS = 1 << 17;
const MOST_CPUS = 1 << 13;
const MOST_OPTIONS = 1 << 16;
const SMALLEST_PAGE = 64;
const LARGEST_PAGE = 1 << 20;
/** Of what is compressed in one piece: trace-cmd's chunks have some hundred KiB, kallsyms 20 MiB. */
const LARGEST_PIECE = 1 << 28;
/** No compression that trace-cmd knows makes more of a byte, but for zeros. */
const MOST_GAIN = 1 << 14;
/** Pages that are read at once. */
const READ_PAGES = 32;

/** Is it a `trace.dat`? */
export function isTraceDat(source: ByteSource): boolean {
  const bytes = readUpTo(source, 0, TRACE_DAT_MAGIC.length);
  return bytes.length === TRACE_DAT_MAGIC.length && bytes.every((byte, index) => byte === TRACE_DAT_MAGIC[index]);
}

/**
 * Opens a `trace.dat` of version 6 or 7, compressed or not. Throws EXH_NOT_A_DUMP, EXH_UNSUPPORTED_FORMAT, EXH_TRUNCATED or
 * EXH_BAD_HEADER; what is damaged behind the header is told beside what could be read.
 */
export function readTraceDat(source: ByteSource, decoders: Decoders = portableDecoders): Trace {
  if (!isTraceDat(source)) throw new ExhumeError('EXH_NOT_A_DUMP', `${source.name}: not a trace.dat`);
  return new TraceDatReader(source, decoders).read();
}

interface BufferPlace {
  readonly name: string;
  readonly clock: string | undefined;
  readonly pageSize: number;
  readonly cpus: readonly { readonly cpu: number; readonly offset: number; readonly size: number }[];
  readonly compressed: boolean;
}

class TraceDatReader {
  private readonly damage: Damage[] = [];
  private readonly formats: EventFormat[] = [];
  private common: readonly TraceField[] | undefined;
  private readonly files: { kallsyms?: string; printkFormats?: string; cmdlines?: string } = {};
  private readonly places: BufferPlace[] = [];
  private readonly statistics = new Map<number, TraceStatistics>();
  private clock = 'local';
  private release: string | undefined;
  private cpuCount = 0;
  private pageSize = 0;
  private decoder: Decoder | undefined;

  /** What the sections of version 7 hold, which stand one behind the other in version 6. */
  private readonly sections: ReadonlyMap<number, (reader: ByteReader) => void> = new Map([
    [TraceDatOption.headerInfo, (reader) => this.readHeaderInfo(reader)],
    [TraceDatOption.ftraceEvents, (reader) => this.readFormats(reader, 'ftrace')],
    [TraceDatOption.eventFormats, (reader) => this.readSystems(reader)],
    [TraceDatOption.kallsyms, (reader) => this.readKallsyms(reader)],
    [TraceDatOption.printk, (reader) => this.readPrintkFormats(reader)],
    [TraceDatOption.cmdlines, (reader) => this.readCmdlines(reader)],
  ]);

  constructor(
    private readonly source: ByteSource,
    private readonly decoders: Decoders,
  ) {}

  read(): Trace {
    const { source } = this;
    const start = new ByteReader(source, true, TRACE_DAT_MAGIC.length);
    const version = start.string('version');
    const littleEndian = start.bytes(1, 'byte order')[0] === 0;
    const reader = new ByteReader(source, littleEndian, start.at);
    const longSize = reader.bytes(1, 'size of long')[0] === 4 ? 4 : 8;
    this.pageSize = this.checkedPage(reader.u32('page size'), reader.at);
    if (version === '6') this.part('header', () => this.readVersion6(reader));
    else if (version === '7') this.readVersion7(reader);
    else throw this.unsupported(`version ${version}: 6 and 7 are read`);
    const buffers = this.places.map((place) => this.buffer(place, littleEndian));
    return {
      source: `trace.dat version ${version}`,
      release: this.release,
      littleEndian,
      longSize,
      onlineCpus: this.cpuCount > 0 ? this.cpuCount : undefined,
      formats: traceFormats(this.common ?? USUAL_COMMON_FIELDS, this.formats),
      names: namesOfText(this.files),
      buffers,
      clocks: undefined,
      damage: this.damage,
    };
  }

  private readVersion6(reader: ByteReader): void {
    for (const read of this.sections.values()) read(reader);
    this.cpuCount = this.checkedCount(reader.u32('number of CPUs'), MOST_CPUS, 'CPUs', reader);
    const instances: { name: string; offset: number }[] = [];
    this.part('buffer', () => this.readBuffer6('', reader, instances));
    for (const { name, offset } of instances) {
      const at = new ByteReader(this.source, reader.littleEndian, offset);
      this.part(`buffer ${name}`, () => this.readBuffer6(name, at, undefined));
    }
  }

  /** The options, if they stand here, and the table of a buffer's CPUs. */
  private readBuffer6(
    name: string,
    reader: ByteReader,
    instances: { name: string; offset: number }[] | undefined,
  ): void {
    let kind = reader.string('kind of data');
    if (kind === OPTIONS_TEXT) {
      for (let count = 0; ; count++) {
        this.checkedCount(count, MOST_OPTIONS, 'options', reader);
        const id = reader.u16('option');
        if (id === TraceDatOption.done) break;
        const option = this.option(reader);
        if (id !== TraceDatOption.buffer) this.readOption(id, option);
        else instances?.push({ offset: option.u64('offset of a buffer'), name: option.string('name of a buffer') });
      }
      kind = reader.string('kind of data');
    }
    if (kind !== FLYRECORD_TEXT) throw this.unsupported(`data of the kind "${kind}": ${FLYRECORD_TEXT} is read`);
    const cpus = Array.from({ length: this.cpuCount }, (_, cpu) => ({
      cpu,
      offset: reader.u64('offset of a CPU'),
      size: reader.u64('size of a CPU'),
    }));
    this.places.push({ name, clock: undefined, pageSize: this.pageSize, cpus, compressed: false });
  }

  private readVersion7(reader: ByteReader): void {
    const compression = reader.string('compression');
    reader.string('version of the compression');
    if (compression === 'zlib' || compression === 'zstd') this.decoder = this.decoders[compression];
    else if (compression !== 'none') throw this.unsupported(`compression ${compression}`);
    const seen = new Set<number>();
    let next = reader.u64('offset of the options');
    while (next !== 0 && !seen.has(next) && seen.size < MOST_OPTIONS) {
      seen.add(next);
      const offset = next;
      next = 0;
      this.part('options', () => {
        next = this.readOptions7(this.section(offset, reader.littleEndian));
      });
    }
  }

  /** Gives where the next ones stand; 0: there are none. */
  private readOptions7(reader: ByteReader): number {
    for (let count = 0; reader.left > 0; count++) {
      this.checkedCount(count, MOST_OPTIONS, 'options', reader);
      const id = reader.u16('option');
      const option = this.option(reader);
      if (id === TraceDatOption.done) return option.u64('offset of the next options');
      this.part('option', () => this.readOption7(id, option));
    }
    return 0;
  }

  private readOption7(id: number, option: ByteReader): void {
    const read = this.sections.get(id);
    if (read !== undefined) read(this.section(option.u64('offset of a section'), option.littleEndian));
    else if (id === TraceDatOption.buffer) this.readBuffer7(option);
    else this.readOption(id, option);
  }

  private readBuffer7(option: ByteReader): void {
    const section = new ByteReader(this.source, option.littleEndian, option.u64('offset of a buffer') + 2);
    const compressed = (section.u16('flags of a buffer') & SECTION_COMPRESSED) !== 0;
    const name = option.string('name of a buffer');
    const clock = option.string('clock of a buffer');
    const pageSize = this.checkedPage(option.u32('page size of a buffer'), option.at);
    const count = this.checkedCount(option.u32('number of CPUs'), MOST_CPUS, 'CPUs', option);
    const cpus = Array.from({ length: count }, () => ({
      cpu: option.u32('number of a CPU'),
      offset: option.u64('offset of a CPU'),
      size: option.u64('size of a CPU'),
    }));
    this.places.push({ name, clock, pageSize, cpus, compressed });
  }

  /** Options that both versions have. */
  private readOption(id: number, option: ByteReader): void {
    const text = (): string => option.text(option.left, 'text of an option').replace(/\0[\s\S]*$/, '');
    if (id === TraceDatOption.traceClock) this.clock = clockOf(text()) ?? this.clock;
    else if (id === TraceDatOption.uname) this.release = /^\S+ (?:\S+ )??(\d+\.\S+)/.exec(text())?.[1];
    else if (id === TraceDatOption.cpuStatistics) this.addStatistics(text());
    else if (id === TraceDatOption.cpuCount) this.cpuCount = option.u32('number of CPUs');
  }

  private addStatistics(text: string): void {
    const number = (name: string): number => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(text)?.[1] ?? 0);
    if (!/^CPU: \d+/m.test(text)) return;
    this.statistics.set(number('CPU'), {
      entries: number('entries'),
      overrun: number('overrun'),
      commitOverrun: number('commit overrun'),
      droppedEvents: number('dropped events'),
      readEvents: number('read events'),
    });
  }

  private readHeaderInfo(reader: ByteReader): void {
    this.expect(reader, HEADER_PAGE_TEXT);
    const page = reader.text(reader.u64('size of header_page'), 'header_page');
    const commit = Number(/commit;\s*offset:\d+;\s*size:(\d+)/.exec(page)?.[1] ?? 8);
    if (commit !== 8) throw this.unsupported(`pages of a kernel whose long has ${commit} bytes`);
    this.expect(reader, HEADER_EVENT_TEXT);
    reader.text(reader.u64('size of header_event'), 'header_event');
  }

  private readKallsyms(reader: ByteReader): void {
    this.files.kallsyms = reader.text(reader.u32('size of kallsyms'), 'kallsyms');
  }

  private readPrintkFormats(reader: ByteReader): void {
    this.files.printkFormats = reader.text(reader.u32('size of printk formats'), 'printk formats');
  }

  private readCmdlines(reader: ByteReader): void {
    this.files.cmdlines = reader.text(reader.u64('size of command lines'), 'command lines');
  }

  private readSystems(reader: ByteReader): void {
    const count = this.checkedCount(reader.u32('number of systems'), MOST_FORMATS, 'systems', reader);
    for (let index = 0; index < count; index++) this.readFormats(reader, reader.string('name of a system'));
  }

  private readFormats(reader: ByteReader, system: string): void {
    const count = this.checkedCount(reader.u32('number of events'), MOST_FORMATS, 'events', reader);
    for (let index = 0; index < count; index++) {
      const text = reader.text(reader.u64('size of a format'), 'format of an event');
      this.part('event formats', () => {
        const { format, common } = parseFormatFile(text, system);
        this.formats.push(format);
        if (common.length > 0) this.common ??= common;
      });
    }
  }

  private buffer({ name, clock, pageSize, cpus, compressed }: BufferPlace, littleEndian: boolean): TraceBuffer {
    const snapshot = /(^|\.)snapshot$/.test(name);
    const instance = name.replace(/\.?snapshot$/, '');
    return {
      instance: instance === '' ? undefined : instance,
      snapshot,
      persistent: false,
      tracer: 'nop',
      clock: clock === undefined || clock === '' ? this.clock : (clockOf(clock) ?? clock),
      options: undefined,
      timeStart: undefined,
      recording: undefined,
      damage: [],
      cpus: cpus.map(({ cpu, offset, size }): TraceCpu => {
        const pages = compressed ? this.chunks(offset, size, littleEndian) : this.span(offset, size, pageSize);
        return {
          cpu,
          statistics: name === '' ? this.statistics.get(cpu) : undefined,
          subBuffers: () => subBuffersIn(pages(), pageSize, littleEndian),
        };
      }),
    };
  }

  /** A CPU's pages, some at a time. */
  private span(offset: number, size: number, pageSize: number): () => Iterable<Uint8Array> {
    const { source } = this;
    const end = Math.min(offset + size, source.size);
    if (end < offset + size)
      this.tell('EXH_TRUNCATED', 'trace', `${source.name} ends at ${source.size}, of ${offset + size}`);
    const step = pageSize * READ_PAGES;
    return function* () {
      for (let at = offset; at < end; at += step) yield readUpTo(source, at, Math.min(step, end - at));
    };
  }

  /** A CPU's pages that are compressed in chunks. */
  private chunks(offset: number, size: number, littleEndian: boolean): () => Iterable<Uint8Array> {
    const { source } = this;
    if (size === 0) return () => [];
    return function* (this: TraceDatReader) {
      const reader = new ByteReader(source, littleEndian, offset);
      const count = reader.u32('number of chunks');
      for (let index = 0; index < count && reader.left > 0; index++) yield this.piece(reader);
    }.bind(this);
  }

  /** A section of version 7, decompressed. */
  private section(offset: number, littleEndian: boolean): ByteReader {
    const header = new ByteReader(this.source, littleEndian, offset);
    header.u16('number of a section');
    const flags = header.u16('flags of a section');
    header.u32('name of a section');
    const size = header.u64('size of a section');
    if ((flags & SECTION_COMPRESSED) !== 0) {
      return new ByteReader(new MemorySource(this.piece(header), this.source.name), littleEndian);
    }
    const length = Math.min(size, this.source.size - offset - SECTION_HEADER);
    return new ByteReader(new MemorySource(header.bytes(length, 'section'), this.source.name), littleEndian);
  }

  /** u32 size compressed, u32 size, the bytes. */
  private piece(reader: ByteReader): Uint8Array {
    const at = reader.at;
    const compressed = reader.u32('compressed size');
    const size = reader.u32('size');
    if (size > LARGEST_PIECE || size > compressed * MOST_GAIN || this.decoder === undefined) {
      throw new ExhumeError('EXH_BAD_HEADER', `${this.source.name}: ${size} bytes out of ${compressed} at ${at}`, {
        file: this.source.name,
        offset: at,
      });
    }
    const bytes = reader.bytes(compressed, 'compressed data');
    const into = new Uint8Array(size);
    this.decoder(bytes, into);
    return into;
  }

  private option(reader: ByteReader): ByteReader {
    const size = reader.u32('size of an option');
    return new ByteReader(new MemorySource(reader.bytes(size, 'option'), this.source.name), reader.littleEndian);
  }

  private expect(reader: ByteReader, text: string): void {
    const at = reader.at;
    const found = reader.string(text);
    if (found === text) return;
    throw new ExhumeError('EXH_BAD_HEADER', `${this.source.name}: "${found}" at ${at}, not ${text}`, {
      file: this.source.name,
      offset: at,
      expected: text,
      found,
    });
  }

  private checkedPage(size: number, offset: number): number {
    if (size >= SMALLEST_PAGE && size <= LARGEST_PAGE) return size;
    throw new ExhumeError('EXH_BAD_HEADER', `${this.source.name}: pages of ${size} bytes`, { offset, found: size });
  }

  private checkedCount(count: number, most: number, what: string, { at }: ByteReader): number {
    if (count <= most) return count;
    throw new ExhumeError('EXH_BAD_HEADER', `${this.source.name}: ${count} ${what}`, { offset: at, found: count });
  }

  private unsupported(what: string): ExhumeError {
    return new ExhumeError('EXH_UNSUPPORTED_FORMAT', `${this.source.name}: a trace.dat with ${what}`);
  }

  /** What is broken in one part is told; the others are read. */
  private part(what: string, read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!isExhumeError(error, 'EXH_TRUNCATED', 'EXH_BAD_HEADER', 'EXH_BAD_STRUCTURE', 'EXH_CODEC')) throw error;
      this.tell(error.code, what, error.message);
    }
  }

  private tell(code: Damage['code'], what: string, message: string): void {
    if (this.damage.length < 16) this.damage.push({ code, part: `trace.dat: ${what}`, message });
  }
}

/** The one in brackets of `[local] global counter`. */
function clockOf(text: string): string | undefined {
  return /\[([^\]]+)\]/.exec(text)?.[1] ?? /^\s*([\w-]+)/.exec(text)?.[1];
}
