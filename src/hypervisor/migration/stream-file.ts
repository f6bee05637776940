import { type ByteSource, readUpTo } from '../../bytes/byte-source.js';
import type { Damage } from '../../bytes/errors.js';
import { matches } from '../../bytes/search.js';
import type { HeaderFact } from '../../dump/container.js';
import { chooseSnapshot, isQcow2, readQcow2, type Snapshot } from '../../dump/qcow2.js';
import { SnapshotState } from '../../dump/qcow2-state.js';
import { gunzipped } from './gunzip.js';
import { libvirtSave } from './libvirt.js';
import { STREAM_MAGIC } from './sections.js';

/** A migration stream, wherever it was kept. */
export interface StreamFile {
  readonly source: ByteSource;
  /** Where it begins, in the source. */
  readonly begin: number;
  /** In words. */
  readonly what: string;
  /** The guest's name, where what is around the stream has it. */
  readonly name: string | undefined;
  readonly facts: readonly HeaderFact[];
  readonly damage: readonly Damage[];
}

/**
 * Finds the stream in a file: the file itself, what libvirt wrote, or a snapshot in a qcow2 image.
 * Undefined where it is none of them; throws where it is and cannot be read.
 * @param wanted name or ID of a snapshot
 */
export function streamIn(file: ByteSource, wanted: string | undefined): StreamFile | undefined {
  const head = readUpTo(file, 0, 16);
  if (isQcow2(head)) return snapshotStream(file, wanted);
  const saved = libvirtSave(file);
  const inflated = saved?.gzip ? gunzipped(file, saved.streamAt) : undefined;
  const source = inflated ?? file;
  const begin = inflated === undefined ? (saved?.streamAt ?? 0) : 0;
  if (!matches(readUpTo(source, begin, 4), 0, STREAM_MAGIC)) {
    if (saved !== undefined) throw saved.unreadable(source);
    return undefined;
  }
  const what = saved === undefined ? 'a migration stream of QEMU' : "libvirt's saved state";
  return { source, begin, what, name: saved?.name, facts: [], damage: [] };
}

/** What QEMU's `savevm` left in a disk. */
function snapshotStream(file: ByteSource, wanted: string | undefined): StreamFile {
  const image = readQcow2(file);
  const { snapshot, how } = chooseSnapshot(file, image, wanted);
  const source = new SnapshotState(file, image, snapshot);
  const damage: Damage[] = [];
  if (source.missing > 0) {
    const message = `${file.name} ends before the state of snapshot ${snapshot.name} does: ${source.missing} bytes are lost`;
    damage.push({ code: 'EXH_TRUNCATED', part: 'snapshot', message });
  }
  return {
    source,
    begin: 0,
    what: `snapshot ${snapshot.name} in a qcow2 image`,
    name: undefined,
    facts: image.snapshots.map((one) => factOf(one, one === snapshot ? how : undefined)),
    damage,
  };
}

/** `1 moment`, when it was taken and how long the machine had run then. */
function factOf({ id, name, seconds, clock, stateBytes }: Snapshot, how: string | undefined): HeaderFact {
  const time = new Date(seconds * 1000).toISOString().replace('.000', '');
  const state = stateBytes === 0 ? 'of the disk only' : `${stateBytes} bytes of state`;
  const ran = `after ${(Number(clock) / 1e9).toFixed(3)} s`;
  return {
    name: 'snapshot',
    value: `${id} ${name}`,
    note: [time, ran, state, ...(how === undefined ? [] : [`taken: ${how}`])].join(', '),
  };
}
