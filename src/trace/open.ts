import type { ByteSource } from '../bytes/byte-source.js';
import { traceFormats, USUAL_COMMON_FIELDS } from './formats/trace-formats.js';
import type { Trace, TraceBuffer, TraceNames } from './model.js';
import { relocation } from './relocation.js';
import { type PersistentBuffer, readPersistentBuffer } from './ring/persistent.js';
import type { PersistentLayout } from './ring/persistent-layout.js';
import type { FoundBuffer } from './ring/persistent-search.js';

/** For traces that come without the names of anything. */
export const NO_NAMES: TraceNames = {
  comm: (pid) => (pid === 0 ? '<idle>' : undefined),
  threadGroup: () => undefined,
  symbol: () => undefined,
  printkFormat: () => undefined,
  string: () => undefined,
  comms: () => [],
  threadGroups: () => [],
  printkFormats: () => [],
  symbols: () => [],
};

/** The persistent ring buffer in a file that begins with one; undefined where none does. Its events have no formats yet. */
export function openPersistentTrace(source: ByteSource): Trace | undefined {
  const buffer = readPersistentBuffer(source);
  return buffer === undefined ? undefined : persistentTrace([buffer]);
}

/** Persistent ring buffers that were found in memory. */
export function persistentTraceOf(found: Iterable<FoundBuffer>): Trace {
  const buffers: PersistentBuffer[] = [];
  const told: string[] = [];
  for (const { address, source, name = `persistent@0x${address.toString(16)}`, evidence } of found) {
    const buffer = readPersistentBuffer(source, 0, name);
    if (buffer === undefined) continue;
    buffers.push(buffer);
    told.push(evidence ?? `${name}: found by searching all memory`);
  }
  return { ...persistentTrace(buffers), evidence: told };
}

function persistentTrace(buffers: readonly PersistentBuffer[]): Trace {
  return unnamedTrace('persistent ring buffer', buffers);
}

/** Buffers of an x86-64 kernel that comes without the names of anything: `withFormatsOf` another source tells them. */
export function unnamedTrace(source: string, buffers: readonly TraceBuffer[]): Trace {
  return {
    source,
    release: undefined,
    littleEndian: true,
    longSize: 8,
    onlineCpus: undefined,
    formats: traceFormats(USUAL_COMMON_FIELDS, []),
    names: NO_NAMES,
    buffers,
    clocks: undefined,
    damage: [],
  };
}

/** Where a kernel that can be asked has things, for addresses of another boot of it. */
export interface NamedKernel extends Pick<Trace, 'formats' | 'names' | 'release'> {
  /** Of its first symbol of this name. */
  symbolAddress?(name: string): bigint | undefined;
  /** How far from its link address it runs. */
  readonly kaslrOffset?: bigint | undefined;
  /** Where a loaded module's code begins. */
  moduleAddress?(name: string): bigint | undefined;
  /** Where its linear map begins: with KASLR elsewhere in each boot. */
  readonly linearMap?: bigint | undefined;
  /** What the bits of `trace_flags` are called: `trace_options`. */
  optionNames?(flags: bigint): ReadonlySet<string> | undefined;
}

/** A trace that finds out by itself how another source's words are to be taken. */
export interface RetoldTrace extends Trace {
  retold(from: NamedKernel): Trace;
}

function isRetold(trace: Trace): trace is RetoldTrace {
  return 'retold' in trace;
}

/** A trace whose events are told in the words of another source: the kernel that wrote them, or a copy of what it told. */
export function withFormatsOf(trace: Trace, from: NamedKernel): Trace {
  if (isRetold(trace)) return trace.retold(from);
  return {
    ...trace,
    release: trace.release ?? from.release,
    formats: from.formats,
    names: from.names,
    buffers: trace.buffers.map((buffer) => moved(buffer, from)),
  };
}

/** A buffer that finds out by itself where in a kernel its addresses are. */
export interface PlacedBuffer extends TraceBuffer {
  placedIn(kernel: NamedKernel): TraceBuffer['relocate'];
}

function isPlaced(buffer: TraceBuffer): buffer is PlacedBuffer {
  return 'placedIn' in buffer;
}

/** A persistent buffer tells where the kernel that wrote it was: the other has the same things elsewhere. */
function moved(buffer: TraceBuffer, from: NamedKernel): TraceBuffer {
  if (isPlaced(buffer)) {
    const relocate = buffer.placedIn(from);
    return relocate === undefined ? buffer : { ...buffer, relocate };
  }
  const layout = layoutOf(buffer);
  if (layout?.text === undefined) return buffer;
  const text = textDelta(layout.text, from);
  if (text === undefined) return buffer;
  const modules = layout.modules.map(({ name, address }) => {
    const now = from.moduleAddress?.(name);
    // A module that isn't loaded there: its addresses mean nothing, and are better left as they are.
    return { address, delta: now === undefined ? 0n : now - address };
  });
  const relocate = relocation(text, modules);
  return relocate === undefined ? buffer : { ...buffer, relocate };
}

function layoutOf(buffer: TraceBuffer): PersistentLayout | undefined {
  return 'layout' in buffer ? (buffer as PersistentBuffer).layout : undefined;
}

function textDelta(text: NonNullable<PersistentLayout['text']>, from: NamedKernel): bigint | undefined {
  if (text.of === 'kaslr') return from.kaslrOffset === undefined ? undefined : from.kaslrOffset - text.address;
  const names = text.of === '_text' ? ['_text'] : ['rb_meta_init_text_addr', 'rb_range_meta_init'];
  for (const name of names) {
    const address = from.symbolAddress?.(name);
    if (address !== undefined) return address - text.address;
  }
  return undefined;
}
