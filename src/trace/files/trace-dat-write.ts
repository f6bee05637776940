import type { ByteSink } from '../../bytes/byte-sink.js';
import { ByteWriter } from '../../bytes/byte-writer.js';
import { writeFormatFile } from '../formats/format-file.js';
import type { EventFormat, Trace, TraceBuffer, TraceEvent } from '../model.js';
import { readEvents, shownFrom } from '../ring/events.js';
import { SubBufferWriter } from './sub-buffer-writer.js';
import {
  FLYRECORD_TEXT,
  HEADER_EVENT_TEXT,
  HEADER_PAGE_TEXT,
  NO_NAME,
  OPTIONS_TEXT,
  SECTION_HEADER,
  TRACE_DAT_MAGIC,
  TraceDatOption,
} from './trace-dat.js';
import { cmdlinesText, HEADER_EVENT, headerPage, kallsymsText, printkFormatsText } from './tracefs-text.js';

export interface TraceDatOptions {
  readonly version: 6 | 7;
  /** Which buffers are written; the first one becomes the file's top level. */
  readonly buffers: readonly TraceBuffer[];
  readonly cpus?: readonly number[] | undefined;
  /** Which events are written, by the base that their times count from; all by default. */
  readonly wanted?: ((base: bigint) => (event: TraceEvent) => boolean) | undefined;
  /** Told how many events were written so far. */
  readonly progress?: ((events: number) => void) | undefined;
}

const SMALLEST_PAGE = 4096;
/** Sub-buffers are up to 64 KiB large, but for kernels of the future. */
const LARGEST_PAGE = 1 << 20;
const PROGRESS = 1 << 16;

/**
 * Writes a trace as a `trace.dat` that trace-cmd and KernelShark open, uncompressed. Gives the events written.
 * Throws EXH_NO_SPACE or EXH_IO.
 */
export function writeTraceDat(trace: Trace, sink: ByteSink, options: TraceDatOptions): number {
  return new TraceDatWriter(trace, sink, options).write();
}

interface CpuData {
  readonly cpu: number;
  readonly offset: number;
  readonly size: number;
}

class TraceDatWriter {
  /** Where the file ends so far. */
  private at = 0;
  private events = 0;
  private readonly pageSize: number;
  /** Version 6 tells all CPUs up to the highest. */
  private readonly cpuCount: number;

  constructor(
    private readonly trace: Trace,
    private readonly sink: ByteSink,
    private readonly options: TraceDatOptions,
  ) {
    let largest = SMALLEST_PAGE;
    let highest = -1;
    for (const { cpus } of options.buffers) {
      for (const cpu of cpus) {
        highest = Math.max(highest, cpu.cpu);
        for (const { data } of cpu.subBuffers()) largest = Math.max(largest, data.length + 8 + trace.longSize);
      }
    }
    this.pageSize = Math.min(LARGEST_PAGE, 2 ** Math.ceil(Math.log2(largest)));
    this.cpuCount = highest + 1;
  }

  write(): number {
    const { version } = this.options;
    const head = this.writer().put(TRACE_DAT_MAGIC).string(String(version));
    head.u8(this.trace.littleEndian ? 0 : 1).u8(this.trace.longSize);
    head.u32(this.pageSize);
    this.append(head);
    if (version === 6) this.writeVersion6();
    else this.writeVersion7();
    return this.events;
  }

  private writeVersion6(): void {
    const [top, ...instances] = this.options.buffers;
    for (const section of this.metadata()) this.append(section.body);
    const head = this.writer().u32(this.cpuCount).string(OPTIONS_TEXT);
    for (const { id, body } of this.facts(top)) head.u16(id).u32(body.length).put(body.bytes);
    // Where an instance's data begins is known when it is written.
    const patches: number[] = [];
    for (const instance of instances) {
      const name = new TextEncoder().encode(`${nameOf(instance)}\0`);
      head.u16(TraceDatOption.buffer).u32(8 + name.length);
      patches.push(this.at + head.length);
      head.u64(0).put(name);
    }
    head.u16(TraceDatOption.done);
    this.append(head);
    if (top !== undefined) this.writeBuffer6(top);
    for (const [index, instance] of instances.entries()) {
      this.patch(patches[index] ?? 0, this.at);
      this.writeBuffer6(instance);
    }
  }

  private writeBuffer6(buffer: TraceBuffer): void {
    this.append(this.writer().string(FLYRECORD_TEXT));
    const table = this.at;
    this.at += this.cpuCount * 16;
    this.alignToPage();
    const written = new Map(this.writeCpus(buffer).map((data) => [data.cpu, data]));
    const body = this.writer();
    for (let cpu = 0; cpu < this.cpuCount; cpu++) {
      const data = written.get(cpu);
      body.u64(data?.offset ?? this.at).u64(data?.size ?? 0);
    }
    this.sink.write(table, body.bytes);
    this.sink.extend(this.at);
  }

  private writeVersion7(): void {
    const { buffers } = this.options;
    this.append(this.writer().string('none').string(''));
    const first = this.at;
    this.append(this.writer().u64(0));
    const options = this.writer();
    const add = (id: number, body: ByteWriter): void => {
      options.u16(id).u32(body.length).put(body.bytes);
    };
    for (const { id, body } of this.facts(buffers[0])) add(id, body);
    add(TraceDatOption.cpuCount, this.writer().u32(this.cpuCount));
    for (const { id, body } of this.metadata()) {
      add(id, this.writer().u64(this.at));
      this.append(this.section(id, body.length).put(body.bytes));
    }
    for (const buffer of buffers) add(TraceDatOption.buffer, this.writeBuffer7(buffer));
    add(TraceDatOption.done, this.writer().u64(0));
    this.patch(first, this.at);
    this.append(this.section(TraceDatOption.done, options.length).put(options.bytes));
  }

  /** Writes a buffer's section, and gives the option that leads to it. */
  private writeBuffer7(buffer: TraceBuffer): ByteWriter {
    const start = this.at;
    this.at += SECTION_HEADER;
    this.alignToPage();
    const written = this.writeCpus(buffer);
    this.sink.write(start, this.section(TraceDatOption.buffer, this.at - start - SECTION_HEADER).bytes);
    this.sink.extend(this.at);
    const option = this.writer().u64(start).string(nameOf(buffer)).string(buffer.clock);
    option.u32(this.pageSize).u32(written.length);
    for (const { cpu, offset, size } of written) option.u32(cpu).u64(offset).u64(size);
    return option;
  }

  private writeCpus(buffer: TraceBuffer): CpuData[] {
    const { trace, options, sink, pageSize } = this;
    const written: CpuData[] = [];
    for (const { cpu } of buffer.cpus) {
      if (options.cpus !== undefined && !options.cpus.includes(cpu)) continue;
      const offset = this.at;
      const stream = readEvents(buffer, { cpus: [cpu], littleEndian: trace.littleEndian });
      const wanted = options.wanted?.(stream.base);
      const first = shownFrom(buffer, stream.base);
      const pages = new SubBufferWriter(pageSize, stream.base, trace.longSize, trace.littleEndian, (page) => {
        sink.write(this.at, page);
        this.at += page.length;
      });
      for (const event of stream) {
        if (event.time < first || (wanted !== undefined && !wanted(event))) continue;
        if (pages.add(event) && ++this.events % PROGRESS === 0) options.progress?.(this.events);
      }
      pages.flush();
      written.push({ cpu, offset, size: this.at - offset });
    }
    return written;
  }

  /** What both versions tell of the kernel, in the order of version 6. */
  private metadata(): { id: number; body: ByteWriter }[] {
    const { trace, pageSize } = this;
    const { names, longSize, formats } = trace;
    const page = encode(headerPage(pageSize, longSize));
    const event = encode(HEADER_EVENT);
    const header = this.writer().string(HEADER_PAGE_TEXT).u64(page.length).put(page);
    header.string(HEADER_EVENT_TEXT).u64(event.length).put(event);
    const systems = new Map<string, EventFormat[]>();
    for (const format of formats.all) {
      const system = systems.get(format.system);
      if (system === undefined) systems.set(format.system, [format]);
      else system.push(format);
    }
    const own = this.formatList(systems.get('ftrace') ?? []);
    systems.delete('ftrace');
    const others = this.writer().u32(systems.size);
    for (const [system, list] of systems) others.string(system).put(this.formatList(list).bytes);
    const kallsyms = encode(kallsymsText(names, longSize));
    const printk = encode(printkFormatsText(names));
    const cmdlines = encode(cmdlinesText(names));
    return [
      { id: TraceDatOption.headerInfo, body: header },
      { id: TraceDatOption.ftraceEvents, body: own },
      { id: TraceDatOption.eventFormats, body: others },
      { id: TraceDatOption.kallsyms, body: this.writer().u32(kallsyms.length).put(kallsyms) },
      { id: TraceDatOption.printk, body: this.writer().u32(printk.length).put(printk) },
      { id: TraceDatOption.cmdlines, body: this.writer().u64(cmdlines.length).put(cmdlines) },
    ];
  }

  private formatList(list: readonly EventFormat[]): ByteWriter {
    const body = this.writer().u32(list.length);
    for (const format of list) {
      const text = encode(writeFormatFile(format, this.trace.formats.common));
      body.u64(text.length).put(text);
    }
    return body;
  }

  /** Options about the machine. */
  private facts(top: TraceBuffer | undefined): { id: number; body: ByteWriter }[] {
    const { release } = this.trace;
    const facts = [
      { id: TraceDatOption.traceClock as number, body: this.writer().string(`[${top?.clock ?? 'local'}]`) },
    ];
    if (release !== undefined) facts.push({ id: TraceDatOption.uname, body: this.writer().string(`Linux ${release}`) });
    for (const { cpu, statistics } of top?.cpus ?? []) {
      if (statistics === undefined) continue;
      const { entries, overrun, commitOverrun, droppedEvents, readEvents: read } = statistics;
      const text =
        `CPU: ${cpu}\nentries: ${entries}\noverrun: ${overrun}\ncommit overrun: ${commitOverrun}\n` +
        `dropped events: ${droppedEvents}\nread events: ${read}\n`;
      facts.push({ id: TraceDatOption.cpuStatistics, body: this.writer().string(text) });
    }
    return facts;
  }

  private section(id: number, size: number): ByteWriter {
    return this.writer().u16(id).u16(0).u32(NO_NAME).u64(size);
  }

  private writer(): ByteWriter {
    return new ByteWriter(this.trace.littleEndian);
  }

  private append({ bytes }: ByteWriter): void {
    this.sink.write(this.at, bytes);
    this.at += bytes.length;
  }

  private patch(offset: number, value: number): void {
    this.sink.write(offset, this.writer().u64(value).bytes);
  }

  private alignToPage(): void {
    this.at = Math.ceil(this.at / this.pageSize) * this.pageSize;
  }
}

/** Snapshots are instances of their own. */
function nameOf({ instance = '', snapshot }: TraceBuffer): string {
  if (!snapshot) return instance;
  return instance === '' ? 'snapshot' : `${instance}.snapshot`;
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
