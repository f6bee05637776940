import type { EventFormat, EventStream, Trace, TraceBuffer, TraceEvent } from '../model.js';
import { type FieldReader, fieldReader } from '../print/fields.js';
import { shownFrom } from '../ring/events.js';
import { FIRST_DESCRIBED, PERFETTO_EVENTS } from './perfetto-events.js';
import { ProtobufWriter } from './protobuf.js';

/** Field numbers of protos/perfetto/trace: Trace, TracePacket, FtraceEventBundle, FtraceEvent and what stands in them. */
const PACKET = 1;
const Packet = { ftraceEvents: 1, processTree: 2, clockSnapshot: 6, timestamp: 8, sequence: 10, systemInfo: 45 };
const Bundle = { cpu: 1, event: 2, lostEvents: 3, descriptors: 11 };
const Event = { timestamp: 1, pid: 2 };
/** BuiltinClock. */
const REALTIME = 1;
const BOOTTIME = 6;
/** FieldDescriptorProto's types and labels. */
const TYPE_INT64 = 3;
const TYPE_UINT64 = 4;
const TYPE_STRING = 9;
const OPTIONAL = 1;
const REPEATED = 3;
/** A packet is ended when it has grown so far. */
const MOST_BUNDLE = 1 << 15;

export interface PerfettoOptions {
  /** Which events are written; all by default. */
  readonly wanted?: ((event: TraceEvent) => boolean) | undefined;
  /** The text of messages whose record has only numbers (`trace_printk`), without who wrote it. */
  readonly message?: ((event: TraceEvent) => string) | undefined;
}

/**
 * A buffer as a Perfetto trace, in pieces: ftrace events in Perfetto's own messages where it has some, else in messages that
 * the file describes; names of processes and threads; what the trace's clock is on the wall. Markers (`B|1|name`, `E`) are
 * `print` events, of which Perfetto makes slices.
 */
export function* perfettoTrace(
  trace: Trace,
  buffer: TraceBuffer,
  stream: EventStream,
  options: PerfettoOptions = {},
): Generator<Uint8Array, void, undefined> {
  const writer = new PerfettoWriter(trace, buffer, stream.base, options);
  const wanted = options.wanted ?? (() => true);
  const first = shownFrom(buffer, stream.base);
  let begun = false;
  for (const event of stream) {
    if (event.time < first || !wanted(event)) continue;
    if (!begun) yield* writer.head(event.time);
    begun = true;
    yield* writer.add(event);
  }
  yield* writer.rest();
}

/** How one kind of event is written. */
interface Kind {
  readonly id: number;
  readonly fields: readonly { readonly number: number; readonly put: PutField }[];
}

type PutField = (writer: ProtobufWriter, number: number, event: TraceEvent) => void;

class PerfettoWriter {
  private readonly kinds = new Map<number, Kind | undefined>();
  private readonly bundles = new Map<number, ProtobufWriter>();
  private readonly body = new ProtobufWriter();
  private readonly event = new ProtobufWriter();
  private described = FIRST_DESCRIBED;

  constructor(
    private readonly trace: Trace,
    private readonly buffer: TraceBuffer,
    private readonly base: bigint,
    private readonly options: PerfettoOptions,
  ) {}

  /** The kernel, its clocks at the first event, the tasks. */
  *head(time: number): Generator<Uint8Array> {
    const { trace, buffer } = this;
    const now = this.timestamp(time);
    if (trace.release !== undefined) {
      // Utsname: sysname 1, release 3. SystemInfo: utsname 1.
      const name = new ProtobufWriter().string(1, 'Linux').string(3, trace.release);
      yield packet((out) => out.message(Packet.systemInfo, new ProtobufWriter().message(1, name.bytes).bytes));
    }
    const toReal = trace.clocks?.toReal.get(buffer.clock);
    if (toReal !== undefined) {
      const clocks = new ProtobufWriter();
      for (const [id, value] of [
        [BOOTTIME, BigInt(now)],
        [REALTIME, BigInt(now) + toReal],
      ] as const) {
        clocks.message(1, new ProtobufWriter().integer(1, id).integer(2, value).bytes);
      }
      yield packet((out) => out.message(Packet.clockSnapshot, clocks.bytes));
    }
    yield packet((out) => out.integer(Packet.timestamp, now).message(Packet.processTree, this.tasks()));
  }

  /** ProcessTree: processes 1 (pid 1, cmdline 3), threads 2 (tid 1, name 2, tgid 3). */
  private tasks(): Uint8Array {
    const { names } = this.trace;
    const tree = new ProtobufWriter();
    const groups = new Map(names.threadGroups());
    for (const group of new Set(groups.values())) {
      const process = new ProtobufWriter().integer(1, group);
      const comm = names.comm(group);
      if (comm !== undefined) process.string(3, comm);
      tree.message(1, process.bytes);
    }
    for (const [pid, comm] of names.comms()) {
      const thread = new ProtobufWriter().integer(1, pid).string(2, comm);
      const group = groups.get(pid);
      // A thread without its process would be taken for one of process 0.
      if (group !== undefined) tree.message(2, thread.integer(3, group).bytes);
    }
    return tree.bytes;
  }

  *add(event: TraceEvent): Generator<Uint8Array> {
    let kind = this.kinds.get(event.type);
    if (kind === undefined && !this.kinds.has(event.type)) {
      const format = this.trace.formats.byId(event.type);
      const made = format && this.kindOf(format);
      kind = made?.kind;
      this.kinds.set(event.type, kind);
      // Perfetto must know it before the first event of its kind.
      if (made?.descriptor !== undefined) yield description(event.cpu, made.kind.id, made.descriptor);
    }
    if (kind === undefined) return;
    const { body } = this;
    body.clear();
    for (const { number, put } of kind.fields) put(body, number, event);
    this.event.clear().integer(Event.timestamp, this.timestamp(event.time)).integer(Event.pid, Math.max(0, event.pid));
    this.event.message(kind.id, body.bytes);
    let bundle = this.bundles.get(event.cpu);
    if (bundle === undefined) {
      bundle = new ProtobufWriter();
      this.bundles.set(event.cpu, bundle);
    }
    if (event.lost !== 0 && bundle.length > 0) yield finished(bundle);
    if (bundle.length === 0) bundle.integer(Bundle.cpu, event.cpu);
    if (event.lost !== 0) bundle.integer(Bundle.lostEvents, 1);
    bundle.message(Bundle.event, this.event.bytes);
    if (bundle.length > MOST_BUNDLE) yield finished(bundle);
  }

  *rest(): Generator<Uint8Array> {
    for (const bundle of this.bundles.values()) if (bundle.length > 0) yield finished(bundle);
  }

  private timestamp(time: number): number | bigint {
    return this.base === 0n ? Math.max(0, time) : this.base + BigInt(time);
  }

  private kindOf(format: EventFormat): { kind: Kind; descriptor?: Uint8Array } {
    const { littleEndian, longSize } = this.trace;
    const own = PERFETTO_EVENTS[`${format.system}/${format.name}`];
    const readers = format.fields.map((field) => fieldReader(field, littleEndian, longSize));
    if (own !== undefined) {
      const fields = readers.flatMap((reader) => {
        const number = own.fields[reader.field.name];
        return number === undefined ? [] : [{ number, put: putField(reader) }];
      });
      return { kind: { id: own.id, fields } };
    }
    const id = this.described++;
    // DescriptorProto: name 1, field 2. FieldDescriptorProto: name 1, number 3, label 4, type 5.
    const descriptor = new ProtobufWriter().string(1, format.name);
    const fields: { number: number; put: PutField }[] = [];
    const describe = (name: string, label: number, type: number, put: PutField): void => {
      const number = fields.length + 1;
      const field = new ProtobufWriter().string(1, name).integer(3, number).integer(4, label).integer(5, type);
      descriptor.message(2, field.bytes);
      fields.push({ number, put });
    };
    for (const reader of readers) {
      const { kind, field } = reader;
      const type = kind === 'string' ? TYPE_STRING : field.signed ? TYPE_INT64 : TYPE_UINT64;
      describe(field.name, kind === 'bytes' ? REPEATED : OPTIONAL, type, putField(reader));
    }
    const { message } = this.options;
    if (message !== undefined && format.system === 'ftrace' && (format.name === 'bprint' || format.name === 'bputs')) {
      describe('text', OPTIONAL, TYPE_STRING, (writer, number, event) => void writer.string(number, message(event)));
    }
    return { kind: { id, fields }, descriptor: descriptor.bytes };
  }
}

/** A TracePacket of the file's one sequence, as a field of Trace. */
function packet(fill: (packet: ProtobufWriter) => void): Uint8Array {
  const body = new ProtobufWriter().integer(Packet.sequence, 1);
  fill(body);
  return new ProtobufWriter().message(PACKET, body.bytes).bytes;
}

/** The packet of a bundle, which begins anew. */
function finished(bundle: ProtobufWriter): Uint8Array {
  const bytes = packet((out) => out.message(Packet.ftraceEvents, bundle.bytes));
  bundle.clear();
  return bytes;
}

/** The packet that describes a kind of event. GenericEventDescriptor: field_id 1, event_descriptor 2. */
function description(cpu: number, id: number, descriptor: Uint8Array): Uint8Array {
  const generic = new ProtobufWriter().integer(1, id).message(2, descriptor);
  const bundle = new ProtobufWriter().integer(Bundle.cpu, cpu).message(Bundle.descriptors, generic.bytes);
  return packet((out) => out.message(Packet.ftraceEvents, bundle.bytes));
}

function putField(reader: FieldReader): PutField {
  if (reader.kind === 'string')
    return (writer, number, event) => void writer.string(number, String(reader.read(event)));
  if (reader.kind === 'bytes') {
    return (writer, number, event) => {
      for (const element of reader.elements(event)) writer.integer(number, element);
    };
  }
  return (writer, number, event) => void writer.integer(number, reader.read(event) as number | bigint);
}
