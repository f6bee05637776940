import type { Damage } from '../../bytes/errors.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import {
  type EventMatch,
  type EventShape,
  fingerprintText,
  isStatic,
  matchEvents,
} from '../../handover/ftrace/fingerprint.js';
import { type EventNumber, type FtraceArray, type FtraceNodes, ftraceNodes } from '../../handover/ftrace/nodes.js';
import type { Handover } from '../../handover/model.js';
import { hexText } from '../../handover/words.js';
import { attempt } from '../../kernel/collect.js';
import { traceFormats } from '../formats/trace-formats.js';
import type { EventFormat, Trace, TraceBuffer, TraceFormats, TraceNames } from '../model.js';
import { type NamedKernel, type RetoldTrace, unnamedTrace } from '../open.js';
import { RecordCursor } from '../ring/sub-buffer.js';
import { HandedOverRing } from './page-list.js';
import { movedText, textDistance } from './text-place.js';

/** Kinds of events that are named one by one. */
const MOST_NAMED = 16;

/** A buffer that a handover of 2023/24 brings. */
interface HandedOverBuffer extends TraceBuffer {
  readonly array: FtraceArray;
  readonly cpus: readonly HandedOverRing[];
}

/**
 * The trace in a handover of the series of 2023/24; undefined where it brings none. What its events are called is not in there, only
 * numbers and fingerprints: `withFormatsOf` a kernel finds the formats by these.
 */
export function handoverTrace(handover: Handover, memory: PhysicalMemory): RetoldTrace | undefined {
  const nodes = ftraceNodes(handover);
  if (nodes === undefined) return undefined;
  const buffers = nodes.arrays.map((array) => bufferOf(array, memory));
  const place = handover.address === undefined ? '' : ` at ${hexText(handover.address)}`;
  const trace: Trace = {
    ...unnamedTrace(
      `ring buffers in a kexec handover: ${handover.compatible} of the series of 2023/24, ${nodes.version}`,
      buffers,
    ),
    evidence: [`${[handover.direction, 'tree'].filter(Boolean).join(' ')}${place}: ${handover.evidence.join('; ')}`],
    damage: nodes.damage,
  };
  return { ...trace, retold: (from) => retold(trace, nodes, buffers, from) };
}

function bufferOf(array: FtraceArray, memory: PhysicalMemory): HandedOverBuffer {
  const damage: Damage[] = [];
  return {
    instance: array.name === 'global_trace' || array.name === 'global-trace' ? undefined : array.name,
    snapshot: false,
    persistent: true,
    tracer: 'nop',
    clock: 'local',
    options: undefined,
    timeStart: undefined,
    recording: undefined,
    cpus: array.cpus.map((node) => new HandedOverRing(memory, node, damage)),
    damage,
    array,
  };
}

/** An event format with what its fingerprint is made of. */
interface FormatShape extends EventShape {
  readonly format: EventFormat;
}

/** What the fingerprint of a format's kind of event is made of. */
export function shapeOf(format: EventFormat): FormatShape {
  return {
    id: format.id,
    name: format.name,
    sizes: format.fields.map(({ size }) => size),
    fixed: format.system === 'ftrace',
    format,
  };
}

function retold(trace: Trace, { events }: FtraceNodes, buffers: readonly HandedOverBuffer[], from: NamedKernel): Trace {
  const damage: Damage[] = [...trace.damage];
  const evidence = [...(trace.evidence ?? [])];
  let formats = from.formats;
  let foreign = false;
  if (events !== undefined) {
    const match = matchEvents(events, from.formats.all.map(shapeOf));
    const renumbered = [...match.known].map(([id, { format }]) => ({ ...format, id }));
    formats = traceFormats(from.formats.common, renumbered);
    foreign = match.moved > 0;
    evidence.push(...matchWords(events, match));
    const present = typesIn(buffers);
    for (const number of match.unmatched.filter(({ id }) => present.has(id)).slice(0, MOST_NAMED)) {
      damage.push(numbersDamage(`${numberWords(number)} is in the trace, and nothing in the formats has it`));
    }
    const fixed = staticMismatch(events, from);
    if (fixed !== undefined) damage.push(numbersDamage(fixed));
  }
  const { names, relocate, same } = placed(buffers, formats, from, evidence, damage);
  return {
    ...trace,
    release: foreign || same === false ? undefined : from.release,
    formats,
    names,
    buffers: buffers.map((buffer) => ({
      ...buffer,
      ...(!foreign && { options: optionsOf(buffer, from, damage) }),
      ...(relocate !== undefined && { relocate }),
    })),
    evidence,
    damage,
  };
}

interface Placed {
  readonly names: TraceNames;
  /** Undefined: addresses are taken as they are. */
  readonly relocate?: TraceBuffer['relocate'] | undefined;
  /** Is it the same boot? Undefined: not known. */
  readonly same: boolean | undefined;
}

/** The names of addresses: of the same boot as they are, of another one by where its functions are; else there are none. */
function placed(
  buffers: readonly HandedOverBuffer[],
  formats: TraceFormats,
  from: NamedKernel,
  evidence: string[],
  damage: Damage[],
): Placed {
  const same = sameBoot(buffers, from);
  if (same === true) return { names: from.names, same };
  const distance = textDistance(buffers, formats, from.names.symbols());
  if (distance !== undefined) {
    const sign = distance < 0n ? '-' : '';
    evidence.push(
      `the kernel's own addresses, moved by ${sign}${hexText(distance < 0n ? -distance : distance)}: so most functions are some`,
    );
    const relocate = distance === 0n && same === undefined ? undefined : movedText(distance, from);
    if (relocate !== undefined || same === undefined) return { names: from.names, relocate, same };
  }
  // An image is as it is linked: where its kernel ran it doesn't know.
  const image = from.linearMap === undefined && from.kaslrOffset === 0n;
  if (same === undefined && !image) {
    evidence.push('whether the formats are those of the same boot is not known: addresses are taken as they are');
    return { names: from.names, same };
  }
  damage.push({
    code: 'EXH_BAD_STRUCTURE',
    part: 'symbols',
    message:
      'the formats are those of another boot: nothing tells where the kernel that wrote the trace had its functions',
  });
  return { names: withoutAddresses(from.names), same };
}

function optionsOf(
  { array: { flags } }: HandedOverBuffer,
  from: NamedKernel,
  damage: Damage[],
): TraceBuffer['options'] {
  return flags === undefined ? undefined : attempt(damage, 'trace_options', () => from.optionNames?.(flags));
}

/** Where linear maps begin that KASLR did not move, with 4 and 5 levels of page tables: of any boot. */
const USUAL_LINEAR_MAPS = [0xffff_8880_0000_0000n, 0xff11_0000_0000_0000n];

/** Is it the kernel that wrote the pages, in the same boot? Undefined: one of them does not tell. */
function sameBoot(buffers: readonly HandedOverBuffer[], { linearMap }: NamedKernel): boolean | undefined {
  if (linearMap === undefined) return undefined;
  for (const { cpus } of buffers) {
    for (const ring of cpus) {
      const told = ring.linearMap();
      if (told === undefined) continue;
      return told === linearMap && USUAL_LINEAR_MAPS.includes(told) ? undefined : told === linearMap;
    }
  }
  return undefined;
}

/** The names of a kernel that has everything elsewhere: an address tells nothing. */
function withoutAddresses(names: TraceNames): TraceNames {
  const none: Pick<TraceNames, 'symbol' | 'printkFormat' | 'string' | 'symbols' | 'printkFormats'> = {
    symbol: () => undefined,
    printkFormat: () => undefined,
    string: () => undefined,
    symbols: () => [],
    printkFormats: () => [],
  };
  return Object.assign(Object.create(names) as TraceNames, none);
}

/** `common_type` of all records. */
function typesIn(buffers: readonly TraceBuffer[]): ReadonlySet<number> {
  const types = new Set<number>();
  const cursor = new RecordCursor(0n);
  for (const { cpus } of buffers) {
    for (const cpu of cpus) {
      for (const sub of cpu.subBuffers()) {
        cursor.open(sub);
        while (cursor.next()) if (cursor.length >= 2) types.add(cursor.view.getUint16(cursor.start, true));
      }
    }
  }
  return types;
}

function* matchWords(events: readonly EventNumber[], match: EventMatch<FormatShape>): Generator<string> {
  const { known, moved, unmatched, ambiguous } = match;
  yield `${events.length} numbers of events, ${known.size} kinds found, ${moved} of them with another number`;
  for (const number of unmatched.slice(0, MOST_NAMED)) yield `${numberWords(number)}: nothing in the formats has it`;
  if (unmatched.length > MOST_NAMED) yield `and ${unmatched.length - MOST_NAMED} more that nothing in the formats has`;
  for (const { number, candidates } of ambiguous.slice(0, MOST_NAMED)) {
    const names = candidates.map(({ format }) => `${format.system}:${format.name}`).join(', ') || 'none';
    const chosen = known.get(number.id)?.format;
    const taken = chosen === undefined ? 'none is taken' : `${chosen.system}:${chosen.name} is taken`;
    yield `${numberWords(number)} is ambiguous (${names}): ${taken}`;
  }
}

/** `event 0x1b2c3d4e (number 512)` */
function numberWords({ fingerprint, name, id }: EventNumber): string {
  return `event ${fingerprint === undefined ? name : fingerprintText(fingerprint)} (number ${id})`;
}

/** Kernels differ in how many kinds have a fixed number, and nothing else tells them apart: 7.2 has one amid those of 6.1. */
function staticMismatch(events: readonly EventNumber[], { formats }: NamedKernel): string | undefined {
  const last = Math.max(0, ...events.filter(isStatic).map(({ id }) => id));
  const first = formats.all.find(({ system }) => system !== 'ftrace')?.id;
  if (last === 0 || first === undefined || first === last + 1) return undefined;
  return (
    `the kernel that wrote the trace numbers its events from ${last + 1} on, that of the formats from ${first}: ` +
    'kinds with fixed numbers (functions, stacks, prints) may be taken for others'
  );
}

function numbersDamage(message: string): Damage {
  return { code: 'EXH_BAD_STRUCTURE', part: 'numbers of events', message };
}
