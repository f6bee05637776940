import type { ByteSource } from '../../bytes/byte-source.js';
import { type Damage, damageOf, ExhumeError } from '../../bytes/errors.js';
import { RamSections } from './stream-blocks.js';
import { StreamReader } from './stream-reader.js';

/** `QEVM`, then the version, 3 since 2009 (QEMU migration/savevm.h). */
export const STREAM_MAGIC = Uint8Array.of(0x51, 0x45, 0x56, 0x4d);
const STREAM_VERSION = 3;

/** QEMU_VM_*: what comes next in a stream. */
const TYPE = {
  end: 0,
  start: 1,
  part: 2,
  last: 3,
  full: 4,
  subsection: 5,
  configuration: 7,
  command: 8,
  footer: 0x7e,
} as const;
const RAM = 'ram';
const MAX_NAME = 1024;

/** The sections of a stream up to the devices' states. */
export interface Sections {
  /** The machine's type, `pc-q35-11.1`; undefined: not named. */
  readonly machine: string | undefined;
  readonly ram: RamSections;
  readonly mappedRam: boolean;
  /** Where the devices' states begin, in the source. */
  readonly devicesAt: number;
  /** It ends, or breaks, before all memory was read. */
  readonly cut: boolean;
  readonly damage: readonly Damage[];
}

/**
 * Reads the sections of memory. Throws EXH_UNSUPPORTED_FORMAT for another version of streams, and what is broken before
 * any memory is known; what breaks later is damage.
 */
export function readSections(source: ByteSource, begin: number): Sections {
  const reader = new StreamReader(source, begin + STREAM_MAGIC.length);
  const version = reader.u32();
  if (version !== STREAM_VERSION) {
    throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `${source.name} is a migration stream of version ${version}`, {
      file: source.name,
      offset: begin + 4,
      expected: STREAM_VERSION,
      found: version,
      format: 'migration stream of another version',
    });
  }
  const ram = new RamSections();
  const state: State = { machine: undefined, mappedRam: false, ramId: undefined, ended: false };
  let devicesAt = reader.position;
  const damage: Damage[] = [];
  let cut = false;
  try {
    while (step(reader, ram, state)) devicesAt = reader.position;
  } catch (error) {
    if (ram.blocks.length === 0) throw error;
    damage.push(damageOf('memory', error));
    cut = true;
    devicesAt = reader.position;
  }
  const { machine, mappedRam } = state;
  return { machine, ram, mappedRam, devicesAt, cut: cut || !state.ended, damage };
}

interface State {
  machine: string | undefined;
  mappedRam: boolean;
  ramId: number | undefined;
  /** The last section of memory was read. */
  ended: boolean;
}

/** Reads what comes next; false: it is a device's state, or the end, and stands at the reader's place. */
function step(reader: StreamReader, ram: RamSections, state: State): boolean {
  const at = reader.position;
  const type = reader.u8();
  switch (type) {
    case TYPE.configuration:
      readConfiguration(reader, state);
      return true;
    case TYPE.command:
      reader.skip(2);
      reader.skip(reader.u16());
      return true;
    case TYPE.footer:
      reader.skip(4);
      return true;
    case TYPE.start: {
      const id = reader.u32();
      const name = reader.string();
      reader.skip(8);
      // Other sections that come in parts (dirty bitmaps of disks) have no length: what is behind them is searched for.
      if (name !== RAM) throw unknownSection(name, at);
      state.ramId = id;
      ram.read(reader, state.mappedRam);
      return true;
    }
    case TYPE.part:
    case TYPE.last: {
      const id = reader.u32();
      if (id !== state.ramId) throw unknownSection(`number ${id}`, at);
      ram.read(reader, state.mappedRam);
      if (type === TYPE.last) state.ended = true;
      return true;
    }
    default: {
      // Some devices stand before the memory (early setup): their length is not known, so the memory is looked for.
      if (type !== TYPE.full || state.ended || state.ramId !== undefined) {
        reader.position = at;
        return false;
      }
      reader.position = seekRam(reader, at);
      return true;
    }
  }
}

const RAM_HEADER = [TYPE.start, RAM.length, 0x72, 0x61, 0x6d] as const;

/** Where the first section of memory begins, from a place on. Throws EXH_TRUNCATED where there is none. */
function seekRam(reader: StreamReader, from: number): number {
  const [type, ...name] = RAM_HEADER;
  const seen: number[] = [];
  reader.position = from;
  for (;;) {
    seen.push(reader.u8());
    if (seen.length > 9) seen.shift();
    if (seen[0] === type && name.every((byte, i) => seen[5 + i] === byte)) return reader.position - 9;
  }
}

/** The machine's name, and subsections that say which capabilities were on. */
function readConfiguration(reader: StreamReader, state: State): void {
  const length = reader.u32();
  if (length > MAX_NAME) throw unknownSection('configuration', reader.position);
  let name = '';
  for (let i = 0; i < length; i++) name += String.fromCharCode(reader.u8());
  state.machine = name;
  for (;;) {
    const at = reader.position;
    if (reader.u8() !== TYPE.subsection) {
      reader.position = at;
      return;
    }
    const subsection = reader.string();
    reader.skip(4);
    if (subsection === 'configuration/target-page-bits') {
      reader.skip(4);
    } else if (subsection === 'configuration/capabilities') {
      const count = reader.u32();
      for (let i = 0; i < Math.min(count, MAX_NAME); i++) {
        if (reader.string() === 'mapped-ram') state.mappedRam = true;
      }
    } else if (subsection === 'configuration/uuid') {
      reader.skip(16);
    } else {
      throw unknownSection(subsection, at);
    }
  }
}

function unknownSection(name: string, at: number): ExhumeError {
  return new ExhumeError('EXH_BAD_STRUCTURE', `the stream has a section at ${at} that is not known: ${name}`, {
    offset: at,
    found: name,
  });
}
