import { readUpTo } from '../../bytes/byte-source.js';
import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { bytesOf, find } from '../../bytes/search.js';
import { viewOf } from '../../bytes/struct-table.js';
import { CachedSource } from '../../dump/cached-source.js';
import type { Container, HeaderFact } from '../../dump/container.js';
import type { Opener } from '../../dump/open.js';
import type { GuestCpu } from '../guest.js';
import { guestContainer } from '../guest-container.js';
import { mappedPointers } from '../mapped-pointers.js';
import { bestSplit, type LaidOut, mainMemory } from '../memory-layout.js';
import { CPU_FIELDS, readCpuState } from './cpu-section.js';
import { type Description, findDescription } from './description.js';
import { readSections, type Sections } from './sections.js';
import type { StreamBlock } from './stream-blocks.js';
import { streamIn } from './stream-file.js';
import { StreamMemory } from './stream-memory.js';

/** Devices' states are some hundred kilobytes; what is longer is not read. */
const MOST_STATE = 64 * 1024 * 1024;
const MAX_CPUS = 8192;

/** Opens QEMU's migration streams: alone, inside what libvirt's `save` and `dump` write, as snapshots in a qcow2 image. */
export const openMigration: Opener = ([file, ...others], { cacheBytes, decoders, snapshot }): Container | undefined => {
  const stream = file && streamIn(file, snapshot);
  if (stream === undefined) return undefined;
  const { source, begin } = stream;
  if (others.length > 0) {
    throw new ExhumeError('EXH_USAGE', `${source.name} is ${stream.what}: it cannot be opened with other files`, {
      file: source.name,
    });
  }
  const sections = readSections(source, begin);
  const damage: Damage[] = [...stream.damage, ...sections.damage];
  const state = readUpTo(source, sections.devicesAt, MOST_STATE);
  const description = findDescription(state);
  const cpus = readCpus(state, description, sections.devicesAt);
  if (cpus.length === 0) {
    damage.push({ code: 'EXH_BAD_STRUCTURE', part: 'CPUs', message: 'the stream has no state of a CPU' });
  }
  if (sections.ram.differences > 0) {
    const message = `${sections.ram.differences} pages are only there as differences (XBZRLE): their last change is lost`;
    damage.push({ code: 'EXH_PAGE_LOST', part: 'memory', message });
  }
  const cached = new CachedSource(source, cacheBytes);
  const build = (layout: readonly LaidOut<StreamBlock>[]) =>
    new StreamMemory(cached, layout, decoders.zlib, sections.cut ? 'lost' : 'excluded');
  const judge = (layout: readonly LaidOut<StreamBlock>[]) => mappedPointers(build(layout), cpus);
  const { split, layout, fits } = bestSplit(sections.ram.blocks, judge, sections.machine);
  const how = `the layout of ${split.machine}, in which ${fits} pointers of CPUs are mapped`;
  if (mainMemory(sections.ram.blocks).length > 1) {
    const message =
      'the machine has several blocks of memory, and the stream does not say where: taken one behind the other';
    damage.push({ code: 'EXH_BAD_STRUCTURE', part: 'memory', message });
  }
  const container = guestContainer(
    {
      name: stream.name ?? sections.machine ?? 'guest',
      how: 'QEMU process',
      cpus,
      memory: build(layout),
      evidence: [],
      damage,
    },
    { description: stream.what, files: [source.name], incomplete: sections.cut },
  );
  return { ...container, facts: [...stream.facts, ...factsOf(sections, description, how), ...container.facts] };
};

const SECTION_FULL = 4;
/** `vmstate_x86_cpu`'s version since 2009; older ones had other fields. */
const OLDEST_CPU = 11;

/** The CPUs' states: sections called `cpu`, by instance. What is between them is not looked at. */
function readCpus(state: Uint8Array, description: Description | undefined, base: number): GuestCpu[] {
  const cpus: GuestCpu[] = [];
  const halts = haltedCpus(state);
  for (const { at, body, instance, version } of sectionsOf(state, 'cpu')) {
    if (version < OLDEST_CPU) continue;
    const described = description?.fieldsOf('cpu', instance);
    const registers = readCpuState(state.subarray(body), described ?? CPU_FIELDS);
    if (registers === undefined) continue;
    const halted = halts.get(instance);
    const started = ((registers.control.get('cr0') ?? 0n) & 1n) !== 0n;
    const by = described === undefined ? "QEMU's usual fields" : "the stream's own description";
    cpus.push({
      index: instance,
      state: !started ? 'not started' : halted === undefined ? 'unknown' : halted === 0 ? 'running' : 'halted',
      registers,
      source: `section cpu ${instance} at ${base + at}, by ${by}`,
      damage: [],
    });
    if (cpus.length === MAX_CPUS) break;
  }
  cpus.sort((a, b) => a.index - b.index);
  return cpus.filter(({ index }, i) => index === i);
}

interface Section {
  readonly at: number;
  readonly body: number;
  readonly instance: number;
  readonly version: number;
}

/** Sections of a name: type, section number, name, instance, version. */
function* sectionsOf(state: Uint8Array, name: string): Generator<Section> {
  const header = Uint8Array.of(name.length, ...bytesOf(name));
  const view = viewOf(state);
  for (let at = find(state, header); at >= 0; at = find(state, header, at + 1)) {
    const body = at + header.length + 8;
    if (at < 5 || state[at - 5] !== SECTION_FULL || body > state.length) continue;
    const instance = view.getUint32(at + header.length);
    const version = view.getUint32(at + header.length + 4);
    if (instance < MAX_CPUS && version < 256) yield { at: at - 5, body, instance, version };
  }
}

/** `halted`, the first word of each section `cpu_common`. */
function haltedCpus(state: Uint8Array): Map<number, number> {
  const halted = new Map<number, number>();
  for (const { instance, body } of sectionsOf(state, 'cpu_common')) {
    if (body + 4 <= state.length && !halted.has(instance)) halted.set(instance, viewOf(state).getUint32(body));
  }
  return halted;
}

function factsOf(sections: Sections, description: Description | undefined, how: string): HeaderFact[] {
  const { machine, ram, mappedRam } = sections;
  return [
    { name: 'machine', value: machine ?? 'not named' },
    ...ram.blocks.map(({ name, size }) => ({ name: 'block', value: name, note: `${size / 1024} KiB` })),
    { name: 'memory', value: mappedRam ? 'mapped: each page at its place' : 'streamed' },
    { name: 'guest-physical map', value: how },
    { name: 'description', value: description === undefined ? 'none' : `of ${description.devices} devices` },
  ];
}
