import type { Damage } from '../../bytes/errors.js';
import { attempt, collect, collectEach } from '../../kernel/collect.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { listEntries } from '../../kernel/types/lists.js';
import { Struct } from '../../kernel/types/struct.js';
import type { TraceBuffer } from '../model.js';
import { relocation } from '../relocation.js';
import { KernelRing } from './kernel-ring.js';
import { readTracerState } from './tracer-state.js';

/** A buffer, and the structures that it was read from. */
export interface KernelBuffer extends TraceBuffer {
  /** `struct trace_array`. */
  readonly array: Struct;
  readonly cpus: readonly KernelRing[];
}

/** More instances than anybody makes. */
const MOST_ARRAYS = 4096;
/** `RB_BUFFER_OFF`: recording was switched off, in `record_disabled`. */
const BUFFER_OFF = 1 << 20;

/** `struct trace_scratch`: u32 clock_id, long text_addr, long nr_entries, then entries of an address and a name. */
const SCRATCH_COUNT = 16n;
const SCRATCH_ENTRIES = 24n;
const SCRATCH_ENTRY = 64n;
const MOST_MODULES = 1024;

/**
 * The ring buffers in a kernel's memory: the top level one, then the instances by name; each followed by its snapshot.
 * Source: `kernel/trace/trace.h`, `ring_buffer.c`. Throws EXH_NO_SYMBOL, EXH_NO_LAYOUT.
 */
export function readKernelBuffers(view: KernelView, damage: Damage[]): KernelBuffer[] {
  const type = view.types.requireStruct('trace_array');
  const list = listEntries(view.memory, view.address('ftrace_trace_arrays'), type, 'list');
  const arrays = collect(damage, 'trace instances', list, MOST_ARRAYS);
  const named = collectEach(damage, 'trace instances', arrays, (array) => ({ array, name: array.string('name', 256) }));
  named.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return collectEach(damage, 'trace instances', named, ({ array, name }) =>
    readArray(view, array, name === '' ? undefined : name, damage),
  ).flat();
}

function readArray(view: KernelView, array: Struct, name: string | undefined, damage: Damage[]): KernelBuffer[] {
  const part = name === undefined ? 'trace' : `trace instance ${name}`;
  const spare = attempt(damage, part, () => snapshotOf(array));
  return ['array_buffer', ...(spare === undefined ? [] : [spare])].flatMap((member) => {
    const read = attempt(damage, part, () => readBuffer(view, array, member, name));
    return read === undefined ? [] : [read];
  });
}

/** The member that holds the snapshot. Where none was taken the buffer may be there, but has one page for each CPU. */
function snapshotOf(array: Struct): string | undefined {
  const spare = ['snapshot_buffer', 'max_buffer'].find((member) => array.has(`${member}.buffer`));
  return spare === undefined || array.int('allocated_snapshot') === 0 ? undefined : spare;
}

function readBuffer(
  view: KernelView,
  array: Struct,
  member: string,
  name: string | undefined,
): KernelBuffer | undefined {
  const holder = array.member(member);
  // By its name: the type that the pointer has may be declared only.
  const address = holder.pointer('buffer');
  if (address === 0n) return undefined;
  const ring = view.struct('trace_buffer', address);
  const damage: Damage[] = [];
  const persistent = lastBoot(view, array);
  const relocate = persistent ? attempt(damage, 'last_boot_info', () => relocationOf(array)) : undefined;
  return {
    instance: name,
    snapshot: member !== 'array_buffer',
    persistent,
    ...(relocate !== undefined && { relocate }),
    ...readTracerState(view, array, ring, damage),
    timeStart: attempt(damage, 'time_start', () => holder.big('time_start')),
    recording: attempt(damage, 'tracing_on', () => (ring.int('record_disabled.counter') & BUFFER_OFF) === 0),
    cpus: readCpus(view, ring, damage),
    damage,
    array,
  };
}

/** Does it still hold what an earlier boot wrote? Up to 6.14 that shows in how far the kernel moved since. */
function lastBoot(view: KernelView, array: Struct): boolean {
  const flag = view.types.enumerator('TRACE_ARRAY_FL_LAST_BOOT');
  if (flag === undefined) return array.has('text_delta') && array.big('text_delta') !== 0n;
  return (array.big('flags') & flag) !== 0n;
}

/** How far the kernel and its modules moved since: `text_delta`, and since 6.15 a delta for each module of the scratch pad. */
function relocationOf(array: Struct): TraceBuffer['relocate'] {
  const text = array.has('text_delta') ? array.big('text_delta') : 0n;
  const scratch = array.has('scratch') ? array.pointer('scratch') : 0n;
  const deltas = array.has('module_delta') ? array.follow('module_delta') : undefined;
  if (scratch === 0n || deltas === undefined) return relocation(text);
  const { memory } = array;
  const first = deltas.addressOf('delta');
  const count = Math.min(Number(memory.u64(scratch + SCRATCH_COUNT)), MOST_MODULES);
  const modules = Array.from({ length: count }, (_, index) => ({
    address: memory.u64(scratch + SCRATCH_ENTRIES + BigInt(index) * SCRATCH_ENTRY),
    delta: memory.i64(first + BigInt(8 * index)),
  }));
  return relocation(text, modules);
}

function readCpus(view: KernelView, ring: Struct, damage: Damage[]): KernelRing[] {
  const type = view.types.requireStruct('ring_buffer_per_cpu');
  const order = ring.has('subbuf_order') ? ring.int('subbuf_order') : 0;
  const table = ring.pointer('buffers');
  const cpus: KernelRing[] = [];
  for (let cpu = 0; cpu < view.cpuCount; cpu++) {
    attempt(damage, `trace of CPU ${cpu}`, () => {
      const address = view.memory.pointer(table + BigInt(cpu * 8));
      // A CPU that was never brought up has no buffer.
      if (address !== 0n) cpus.push(new KernelRing(cpu, new Struct(view.memory, type, address), order, damage));
    });
  }
  return cpus;
}
