import { type ByteSource, readExactly } from '../bytes/byte-source.js';
import { ExhumeError } from '../bytes/errors.js';
import { matches } from '../bytes/search.js';
import { size64, structTable, u8, u16, u32, u64, viewOf } from '../bytes/struct-table.js';

/** `QFI\xfb`. All numbers are big-endian (QEMU docs/interop/qcow2.rst, block/qcow2.h). */
const MAGIC = Uint8Array.of(0x51, 0x46, 0x49, 0xfb);
const HEADER = structTable('qcow2 header', 72, {
  version: u32(4),
  cluster_bits: u32(20),
  size: size64(24),
  crypt_method: u32(32),
  nb_snapshots: u32(60),
  snapshots_offset: size64(64),
});
/** What version 3 has behind that. */
const MORE = structTable('qcow2 header, version 3', 105, {
  incompatible_features: u64(72),
  compression_type: u8(104),
});
const SNAPSHOT = structTable('qcow2 snapshot', 40, {
  l1_table_offset: size64(0),
  l1_size: u32(8),
  id_str_size: u16(12),
  name_size: u16(14),
  date_sec: u32(16),
  date_nsec: u32(20),
  vm_clock_nsec: u64(24),
  vm_state_size: u32(32),
  extra_data_size: u32(36),
});
/** The first of the extra data: both are there in all images of version 3. */
const EXTRA = structTable('qcow2 snapshot, extra data', 16, {
  vm_state_size_large: size64(0),
  disk_size: size64(8),
});

const DIRTY = 1n << 0n;
const CORRUPT = 1n << 1n;
const EXTERNAL_DATA = 1n << 2n;
const COMPRESSION_TYPE = 1n << 3n;
const EXTENDED_L2 = 1n << 4n;
const KNOWN_FEATURES = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2;
const ENCRYPTIONS = ['', 'AES', 'LUKS'];
/** QCOW_MAX_SNAPSHOTS and QCOW_MAX_SNAPSHOT_EXTRA_DATA. */
const MAX_SNAPSHOTS = 65536;
const MAX_EXTRA = 1024;
/** Its names have at most so many bytes each. */
const MAX_NAME = 65535;

/** A snapshot in a qcow2 image: the disk and, if it is one of a whole machine, its state (`savevm`). */
export interface Snapshot {
  readonly id: string;
  readonly name: string;
  /** When it was taken, in seconds since 1970; 0 where QEMU was not told. */
  readonly seconds: number;
  readonly nanoseconds: number;
  /** How long the machine had run, in nanoseconds. */
  readonly clock: bigint;
  /** Bytes of the machine's state; 0: it is of the disk only. */
  readonly stateBytes: number;
  /** Where its first table is in the file, in bytes, and how many entries it has. */
  readonly l1Offset: number;
  readonly l1Entries: number;
  /** The size of the disk when it was taken, in bytes: the machine's state is behind it. */
  readonly diskBytes: number;
}

/** A qcow2 image as far as its snapshots go. */
export interface Qcow2Image {
  readonly version: number;
  readonly clusterBits: number;
  readonly extendedL2: boolean;
  /** How its compressed clusters are compressed. */
  readonly compression: 'deflate' | 'zstd';
  /** In the order of the file. */
  readonly snapshots: readonly Snapshot[];
}

/** Is it a qcow2 image, going by its first bytes? */
export function isQcow2(head: Uint8Array): boolean {
  return matches(head, 0, MAGIC);
}

/**
 * Reads the header and the list of snapshots. Throws EXH_UNSUPPORTED_FORMAT for versions other than 2 and 3, and for
 * encryption, external data files and features that came later; EXH_BAD_HEADER and EXH_TRUNCATED.
 */
export function readQcow2(source: ByteSource): Qcow2Image {
  const header = HEADER.read(viewOf(readExactly(source, 0, HEADER.size, 'qcow2 header')), 0, false);
  const { version, cluster_bits: clusterBits } = header;
  if (version !== 2 && version !== 3) throw unsupported(source, `version ${version}`);
  const more = version === 2 ? undefined : MORE.read(viewOf(readExactly(source, 0, MORE.size, MORE.name)), 0, false);
  const features = more?.incompatible_features ?? 0n;
  const encryption = ENCRYPTIONS[header.crypt_method] ?? `method ${header.crypt_method}`;
  if (encryption !== '') throw unsupported(source, `encrypted (${encryption})`);
  if ((features & EXTERNAL_DATA) !== 0n) throw unsupported(source, 'with an external data file');
  if ((features & ~KNOWN_FEATURES) !== 0n) {
    throw unsupported(source, `with features that are not known (0x${(features & ~KNOWN_FEATURES).toString(16)})`);
  }
  if (clusterBits < 9 || clusterBits > 21) throw badHeader(source, `clusters of 2^${clusterBits} bytes`);
  return {
    version,
    clusterBits,
    extendedL2: (features & EXTENDED_L2) !== 0n,
    compression: (features & COMPRESSION_TYPE) !== 0n && more?.compression_type === 1 ? 'zstd' : 'deflate',
    snapshots: readSnapshots(source, header),
  };
}

function readSnapshots(
  source: ByteSource,
  { nb_snapshots, snapshots_offset, size }: { nb_snapshots: number; snapshots_offset: number; size: number },
): Snapshot[] {
  if (nb_snapshots > MAX_SNAPSHOTS) throw badHeader(source, `${nb_snapshots} snapshots`);
  const snapshots: Snapshot[] = [];
  let at = snapshots_offset;
  for (let i = 0; i < nb_snapshots; i++) {
    const fixed = SNAPSHOT.read(viewOf(readExactly(source, at, SNAPSHOT.size, SNAPSHOT.name)), 0, false);
    if (fixed.extra_data_size > MAX_EXTRA || fixed.id_str_size + fixed.name_size > MAX_NAME) {
      throw badHeader(source, `a snapshot of ${fixed.extra_data_size + fixed.id_str_size + fixed.name_size} bytes`);
    }
    at += SNAPSHOT.size;
    const length = fixed.extra_data_size + fixed.id_str_size + fixed.name_size;
    const rest = readExactly(source, at, length, SNAPSHOT.name);
    const extra = fixed.extra_data_size >= EXTRA.size ? EXTRA.read(viewOf(rest), 0, false) : undefined;
    const text = rest.subarray(fixed.extra_data_size);
    snapshots.push({
      id: decoder.decode(text.subarray(0, fixed.id_str_size)),
      name: decoder.decode(text.subarray(fixed.id_str_size)),
      seconds: fixed.date_sec,
      nanoseconds: fixed.date_nsec,
      clock: fixed.vm_clock_nsec,
      stateBytes: extra?.vm_state_size_large ?? fixed.vm_state_size,
      l1Offset: fixed.l1_table_offset,
      l1Entries: fixed.l1_size,
      diskBytes: extra?.disk_size ?? size,
    });
    at = Math.ceil((at + length) / 8) * 8;
  }
  return snapshots;
}

/** The snapshot to look at, and why that one. */
export interface ChosenSnapshot {
  readonly snapshot: Snapshot;
  /** In words. */
  readonly how: string;
}

/**
 * The snapshot of a name or an ID, which counts where a name is also an ID; else the newest that has a machine's state.
 * Throws EXH_USAGE where there is no such one, EXH_UNSUPPORTED_FORMAT where there is none at all.
 */
export function chooseSnapshot(source: ByteSource, image: Qcow2Image, wanted: string | undefined): ChosenSnapshot {
  const whole = image.snapshots.filter(({ stateBytes }) => stateBytes > 0);
  const named = wanted === undefined ? undefined : ofName(image.snapshots, wanted);
  if (wanted !== undefined && named === undefined) {
    throw new ExhumeError('EXH_USAGE', `${source.name} has no snapshot ${wanted}`, {
      file: source.name,
      found: wanted,
      expected: image.snapshots.map(({ id, name }) => `${id} ${name}`).join(', '),
      hint:
        image.snapshots.length === 0
          ? 'it has none'
          : `it has ${image.snapshots.map(({ id, name }) => `${name} (ID ${id})`).join(', ')}`,
    });
  }
  const newest = whole.reduce<Snapshot | undefined>(
    (one, other) => (one && isNewer(one, other) ? one : other),
    undefined,
  );
  const snapshot = named ?? newest;
  if (snapshot === undefined || snapshot.stateBytes === 0) {
    const what =
      named === undefined ? 'a disk without a snapshot of a machine' : `a snapshot of the disk only: ${named.name}`;
    throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `${source.name} is ${what}`, {
      file: source.name,
      format: 'qcow2 disk image without a machine',
      hint: 'QEMU keeps the machine (savevm) in one of its disks: name that one',
    });
  }
  const how =
    named !== undefined ? 'it was asked for' : whole.length === 1 ? 'the only one of a machine' : 'the newest';
  return { snapshot, how };
}

function ofName(snapshots: readonly Snapshot[], wanted: string): Snapshot | undefined {
  return snapshots.find(({ name }) => name === wanted) ?? snapshots.find(({ id }) => id === wanted);
}

/** Of two as old as each other it is the later in the file. */
function isNewer(one: Snapshot, other: Snapshot): boolean {
  return one.seconds === other.seconds ? one.nanoseconds > other.nanoseconds : one.seconds > other.seconds;
}

function unsupported({ name }: ByteSource, what: string): ExhumeError {
  return new ExhumeError('EXH_UNSUPPORTED_FORMAT', `${name} is a qcow2 image ${what}`, {
    file: name,
    format: `qcow2 disk image ${what}`,
    hint: 'load the snapshot in QEMU (-loadvm), and migrate to a file or take a dump with dump-guest-memory',
  });
}

function badHeader({ name }: ByteSource, what: string): ExhumeError {
  return new ExhumeError('EXH_BAD_HEADER', `${name}: a qcow2 image with ${what}`, { file: name, found: what });
}

const decoder = new TextDecoder();
