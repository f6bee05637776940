import type { Damage } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { type FdtNode, fdtChild, fdtValue } from '../fdt/fdt.js';
import type { Handover, MemoryArea } from '../model.js';
import { MEM_ENTRY, memEntries } from '../series-2023/mem.js';

/**
 * What the series of 2023/24 leaves of ftrace: in `/ftrace` the numbers of the events (`events`), for each array (`global_trace`,
 * since version 3 `global-trace`) and CPU the pages of its ring. Version 1 has the CPUs below `buffer`, and the events by name.
 * Sources: mails "tracing: Add kho serialization of trace buffers" and "of trace events".
 */
export interface FtraceNodes {
  readonly arrays: readonly FtraceArray[];
  /** Undefined: the tree has none. */
  readonly events: readonly EventNumber[] | undefined;
  /** Which version of the series writes it so, as far as that shows: `v1`, `v2`, `v3`. */
  readonly version: string;
  readonly damage: readonly Damage[];
}

export interface FtraceArray {
  /** The node's. */
  readonly name: string;
  /** `tr->trace_flags`; undefined: not told. */
  readonly flags: bigint | undefined;
  readonly cpus: readonly FtraceCpuNode[];
}

/** One CPU's ring. */
export interface FtraceCpuNode {
  readonly cpu: number;
  /** Of the node. */
  readonly path: string;
  /** In the order of the ring, from the page on that the kernel held it by. */
  readonly pages: readonly FtracePage[];
}

/** A page of a ring: the structure that describes it, and itself. Undefined: the entry is no memory. */
export interface FtracePage {
  /** `struct buffer_page` */
  readonly descriptor: MemoryArea | undefined;
  readonly page: MemoryArea | undefined;
}

/** The number that a kind of event has in the records, and by what it is known. */
export interface EventNumber {
  /** `event2fp()` of it, or the number itself for those that are the same in each kernel; undefined in version 1. */
  readonly fingerprint: number | undefined;
  /** In version 1. */
  readonly name: string | undefined;
  readonly id: number;
}

/** `struct trace_event_map`: u32 crc32, u32 type. */
const EVENT_ENTRY = 8;
/** Numbers of events have 16 bits. */
const MOST_EVENTS = 1 << 16;
const PART = 'ftrace of the handover';

/** Undefined: this handover brings no trace in nodes of its own. */
export function ftraceNodes({ series, tree }: Handover): FtraceNodes | undefined {
  const node = series === '2023' ? fdtChild(tree.root, 'ftrace') : undefined;
  if (node === undefined) return undefined;
  const damage: Damage[] = [];
  const arrays = node.children
    .filter((child) => child.name !== 'events')
    .map((child) => arrayOf(child, `/ftrace/${child.name}`, damage));
  const named = fdtChild(node, 'events');
  const map = fdtValue(node, 'events');
  const events = named !== undefined ? byName(named) : map === undefined ? undefined : byFingerprint(map, damage);
  if (events === undefined) {
    damage.push({ code: 'EXH_BAD_STRUCTURE', part: PART, message: 'nothing tells the numbers of the events' });
  }
  const version = named !== undefined ? 'v1' : arrays.some(({ name }) => name === 'global_trace') ? 'v2' : 'v3';
  return { arrays, events, version, damage };
}

function arrayOf(node: FdtNode, path: string, damage: Damage[]): FtraceArray {
  const buffer = fdtChild(node, 'buffer');
  const [parent, place] = buffer === undefined ? [node, path] : [buffer, `${path}/buffer`];
  const cpus: FtraceCpuNode[] = [];
  for (const child of parent.children) {
    const mem = fdtValue(child, 'mem');
    const cpu = cpuOf(child);
    if (mem === undefined || cpu === undefined) continue;
    const at = `${place}/${child.name}`;
    if (cpus.some((other) => other.cpu === cpu)) {
      damage.push({ code: 'EXH_BAD_STRUCTURE', part: PART, message: `${at} is the second node of CPU ${cpu}` });
      continue;
    }
    cpus.push({ cpu, path: at, pages: pagesOf(mem, at, damage) });
  }
  const flags = fdtValue(node, 'trace-flags') ?? fdtValue(node, 'trace_flags');
  return { name: node.name, flags: numberOf(flags), cpus: cpus.sort((a, b) => a.cpu - b.cpu) };
}

/** By its name, in hexadecimal digits: the kernel looks for that, and not at `cpu`. */
function cpuOf({ name, properties }: FdtNode): number | undefined {
  const [, digits] = /^cpu([0-9a-f]{1,8})$/.exec(name) ?? [];
  if (digits !== undefined) return Number.parseInt(digits, 16);
  const told = properties.find((property) => property.name === 'cpu')?.value;
  return told?.length === 4 ? viewOf(told).getInt32(0, true) : undefined;
}

function pagesOf(mem: Uint8Array, path: string, damage: Damage[]): FtracePage[] {
  const tell = (message: string): void => {
    damage.push({ code: 'EXH_BAD_STRUCTURE', part: PART, message: `${path}: ${message}` });
  };
  if (mem.length % MEM_ENTRY !== 0) tell(`mem of ${mem.length} bytes is no multiple of ${MEM_ENTRY}`);
  const whole = mem.subarray(0, Math.floor(mem.length / MEM_ENTRY) * MEM_ENTRY);
  const entries = memEntries(whole);
  if (entries.length % 2 !== 0) tell(`${entries.length} entries: each page has two, the last one has no page`);
  return Array.from({ length: Math.floor(entries.length / 2) }, (_, index) => ({
    descriptor: entries[2 * index],
    page: entries[2 * index + 1],
  }));
}

function byFingerprint(map: Uint8Array, damage: Damage[]): EventNumber[] {
  if (map.length % EVENT_ENTRY !== 0) {
    const message = `events of ${map.length} bytes is no multiple of ${EVENT_ENTRY}`;
    damage.push({ code: 'EXH_BAD_STRUCTURE', part: PART, message });
  }
  const view = viewOf(map);
  return Array.from({ length: Math.min(Math.floor(map.length / EVENT_ENTRY), MOST_EVENTS) }, (_, index) => ({
    fingerprint: view.getUint32(index * EVENT_ENTRY, true),
    name: undefined,
    id: view.getUint32(index * EVENT_ENTRY + 4, true),
  }));
}

/** Each property of the node is called as an event, and holds its number. */
function byName({ properties }: FdtNode): EventNumber[] {
  return properties
    .filter(({ value }) => value.length === 4)
    .slice(0, MOST_EVENTS)
    .map(({ name, value }) => ({ fingerprint: undefined, name, id: viewOf(value).getUint32(0, true) }));
}

/** u32; u64 where the flags have more bits. */
function numberOf(value: Uint8Array | undefined): bigint | undefined {
  if (value?.length === 4) return BigInt(viewOf(value).getUint32(0, true));
  return value?.length === 8 ? viewOf(value).getBigUint64(0, true) : undefined;
}
