import type { Damage } from '../bytes/errors.js';
import type { KernelSymbol, SymbolHit } from '../kernel/symbols.js';

/**
 * A trace as any source yields it: a dead kernel's memory, a persistent ring buffer, files copied from tracefs,
 * a `trace.dat`. Nothing in here is text yet: what events say is put into words by print/ and text/.
 */
export interface Trace {
  /** Where it comes from, in words: `ring buffers in the kernel's memory`, `trace.dat version 7`. */
  readonly source: string;
  /** `uname -r` of the kernel that wrote it, where known. */
  readonly release: string | undefined;
  readonly littleEndian: boolean;
  /** Bytes of a `long` of the traced machine: 4 or 8. */
  readonly longSize: 4 | 8;
  /** CPUs that were on line, as the text's header tells; undefined: not told. */
  readonly onlineCpus: number | undefined;
  readonly formats: TraceFormats;
  readonly names: TraceNames;
  /** The top level buffer first, then the instances by name; each followed by its snapshot, if it has one. */
  readonly buffers: readonly TraceBuffer[];
  /** What is needed to tell a buffer's time as wall-clock time; undefined where the source doesn't tell. */
  readonly clocks: TraceClocks | undefined;
  /** How it was found and put together, where that is not plain. */
  readonly evidence?: readonly string[];
  readonly damage: readonly Damage[];
}

/** `tracing_clock`s and the wall clock, at one instant. All in nanoseconds. */
export interface TraceClocks {
  /** CLOCK_REALTIME minus the trace clock of this name: `mono`, `boot`, `local`, `global`, `uptime`. */
  readonly toReal: ReadonlyMap<string, bigint>;
}

/** One field of an event's record, as the event's `format` file tells it. */
export interface TraceField {
  /** `prev_comm` */
  readonly name: string;
  /** The kernel's word for its type, arrays with their length: `char[16]`, `__data_loc char[]`, `unsigned long`. */
  readonly type: string;
  /** From the record's start (the `common_type` field is at 0), in bytes. */
  readonly offset: number;
  /** In bytes; 0 for an array that reaches to the record's end. */
  readonly size: number;
  readonly signed: boolean;
}

/** What one kind of event holds and how the kernel prints it. */
export interface EventFormat {
  /** The number that records of it begin with (`common_type`). */
  readonly id: number;
  /** `sched`; `ftrace` for the kernel's own kinds (function, print, stack…). */
  readonly system: string;
  /** `sched_switch` */
  readonly name: string;
  /** In the order of the declaration, without the common ones. */
  readonly fields: readonly TraceField[];
  /** What the format file says after `print fmt: `: `"comm=%s pid=%d", REC->comm, REC->pid`. */
  readonly printFormat: string;
  /** The module that it belongs to; undefined: the kernel image. */
  readonly module?: string;
  /** Made at run time: `kprobe`, `uprobe`, `eprobe`, `synthetic`, `fprobe`. Undefined: built in, or not told. */
  readonly dynamic?: string;
  /** The event that an event probe (`eprobe`) hangs on: `sched.sched_switch`. */
  readonly probed?: string;
}

/** Every kind of event that a kernel knows. */
export interface TraceFormats {
  /** Fields of every record: `common_type`, `common_flags`, `common_preempt_count`, `common_pid`. */
  readonly common: readonly TraceField[];
  byId(id: number): EventFormat | undefined;
  find(system: string, name: string): EventFormat | undefined;
  /** By number. */
  readonly all: readonly EventFormat[];
  /** In the order of the source: a kernel's own list begins with the newest. */
  readonly listed: readonly EventFormat[];
}

/** What numbers in the records are called. Every one may be unknown. */
export interface TraceNames {
  /** The command line name (`comm`) of a process number, as the kernel had saved it. */
  comm(pid: number): string | undefined;
  /** The thread group of a thread; undefined where the kernel did not keep it. */
  threadGroup(pid: number): number | undefined;
  /** The symbol that an address of the *traced* kernel lies in. */
  symbol(address: bigint): SymbolHit | undefined;
  /** The format text of a `trace_printk` at that address. */
  printkFormat(address: bigint): string | undefined;
  /** The NUL-terminated string at an address of the traced kernel's memory, for formats that print pointers to constants. */
  string(address: bigint): string | undefined;
  /**
   * The 32 bits that the traced kernel prints in place of a pointer (`%p`); undefined: it had no key yet to make them.
   * Absent: the key is not known, or the kernel prints pointers as they are (`no_hash_pointers`): then so do we.
   */
  hashPointer?(value: bigint): number | undefined;
  /** An enumeration constant of the traced kernel, as its print formats name them: `TCP_ESTABLISHED`. */
  constant?(name: string): bigint | undefined;
  /** What a kernel variable of the size of a long holds, as an unsigned number: `vmemmap_base`, `jiffies`. */
  variable?(name: string): bigint | undefined;
  /** Size in bytes and signedness of a type of the traced kernel, by its C name: `struct page`, `blk_opf_t`. */
  type?(name: string): { readonly size: number; readonly signed: boolean } | undefined;
  /** The parameters of a function of the traced kernel, by its name; undefined: not known. */
  parameters?(name: string): readonly TraceParameter[] | undefined;
  /** All that is known, for writers of files. */
  comms(): Iterable<readonly [pid: number, comm: string]>;
  threadGroups(): Iterable<readonly [pid: number, group: number]>;
  printkFormats(): Iterable<readonly [address: bigint, text: string]>;
  symbols(): Iterable<KernelSymbol>;
}

/** A parameter of a function, as far as the text of its value depends on it. */
export interface TraceParameter {
  readonly name: string;
  /** What the type is without its qualifiers and names of its own; `other`: a structure or the like, by value. */
  readonly kind: 'unknown' | 'pointer' | 'signed' | 'unsigned' | 'enum' | 'other';
  /** BTF's word for the kind of an `other`: `STRUCT`. */
  readonly word: string;
  /** In bytes. */
  readonly size: number;
  /** Names of the values of an `enum`, as unsigned 64-bit numbers. */
  readonly names: ReadonlyMap<bigint, string>;
}

/** One ring buffer of all CPUs: the top level one, an instance, or the snapshot of either. */
export interface TraceBuffer {
  /** The instance's name; undefined: the top level. */
  readonly instance: string | undefined;
  /** It is the spare buffer (`snapshot`, `max_buffer`). */
  readonly snapshot: boolean;
  /** It lies in memory that survives a restart, and was written by an earlier boot. */
  readonly persistent: boolean;
  /** `current_tracer`: `nop`, `function`, `function_graph`, `irqsoff`… */
  readonly tracer: string;
  /** `local`, `global`, `mono`, `x86-tsc`, `counter`… */
  readonly clock: string;
  /** Names of the set `trace_options`: `print-parent`, `sym-offset`, `irq-info`, `record-cmd`… Undefined: not told. */
  readonly options: ReadonlySet<string> | undefined;
  /** `array_buffer.time_start`: what the kernel shows begins there, older events are left out. Undefined: not told. */
  readonly timeStart: bigint | undefined;
  /** Was recording on? Undefined: not told. */
  readonly recording: boolean | undefined;
  /** By number. */
  readonly cpus: readonly TraceCpu[];
  readonly damage: readonly Damage[];
  /** Where an address in its events lies in the kernel that the trace's names are of; absent: there. See `traceFor`. */
  readonly relocate?: (address: bigint) => bigint;
}

/** What the kernel's `per_cpu/cpuN/stats` says; undefined where the source doesn't tell. */
export interface TraceStatistics {
  /** Events still in the buffer, as the kernel counts them. */
  readonly entries: number;
  /** Events overwritten by newer ones. */
  readonly overrun: number;
  readonly commitOverrun: number;
  readonly droppedEvents: number;
  readonly readEvents: number;
  /** Of the events still in the buffer, as the kernel counts them. */
  readonly bytes?: number;
}

/** One CPU's part of a buffer. */
export interface TraceCpu {
  readonly cpu: number;
  readonly statistics: TraceStatistics | undefined;
  /** The parts of the ring that hold something, oldest first. Read anew at every call; bounded by the size of the source. */
  subBuffers(): Iterable<SubBuffer>;
}

/** One sub-buffer (`struct buffer_data_page`): what was written into one page of the ring. */
export interface SubBuffer {
  /** Of its first event, in units of the buffer's clock. */
  readonly timestamp: bigint;
  /** The records, from `data` on, as long as `commit` says; valid until the next sub-buffer is asked for. */
  readonly data: Uint8Array;
  /** Events lost right before it: 0 none, -1 some but the number is not known. */
  readonly lost: number;
  /** How many bytes at the front of `data` were read already (`buffer_page.read`): time is taken from them, events are not. */
  readonly consumed: number;
}

/**
 * One event on its way through a pipeline. The object and what it points to change when the next one is asked for:
 * keep what you need.
 */
export interface TraceEvent {
  readonly cpu: number;
  /** Since the stream's `base`, in units of the buffer's clock (nanoseconds for most): exact below 2^53. */
  readonly time: number;
  /** `common_type`. */
  readonly type: number;
  readonly pid: number;
  /** The sub-buffer's records; this one begins at `start`. */
  readonly bytes: Uint8Array;
  /** Of the same bytes. */
  readonly view: DataView;
  /** Where the record (its `common_type`) begins in `bytes`. */
  readonly start: number;
  /** Of the record, in bytes. */
  readonly length: number;
  /** Events of this CPU that were lost right before it: 0 none, -1 an unknown number. */
  readonly lost: number;
}

/** The events of a buffer, merged by time over its CPUs. */
export interface EventStream extends Iterable<TraceEvent> {
  /** What `TraceEvent.time` counts from: a whole number of seconds (of 10^9 units), so that both can be printed apart. */
  readonly base: bigint;
  /** The event after the current one on the same CPU, which a renderer may have to look at; undefined: there is none. */
  following(): TraceEvent | undefined;
  /** Leaves that event out: it is not given again. */
  skipFollowing(): void;
}
