import { inflateSync } from 'fflate';
import { type ByteSource, readExactly } from '../bytes/byte-source.js';
import { ExhumeError } from '../bytes/errors.js';
import { LruCache } from '../bytes/lru.js';
import { viewOf } from '../bytes/struct-table.js';
import { CachedSource } from './cached-source.js';
import type { Qcow2Image, Snapshot } from './qcow2.js';

/** QCOW_MAX_L1_SIZE. */
const MAX_L1_BYTES = 32 << 20;
/** Bits 9 to 55 of an entry; above them are flags. */
const OFFSET_HIGH = 0x00ff_ffff;
const OFFSET_LOW = 0xffff_fe00;
const COMPRESSED = 1 << 30;
/** In a version 3 image without extended entries. */
const ZERO = 1;
const SECTOR = 512;
/** Subclusters of a cluster where entries are extended. */
const SUBCLUSTERS = 32;
/** State is dense: what claims to be longer than this many times the file, and this much, is broken. */
const MOST_TIMES = 16;
const MOST_BEYOND = 256 << 20;
const TABLE_CACHE = 8 << 20;
const CLUSTER_CACHE = 8 << 20;

/** Where some of the state is: at an offset of the file, nowhere as it is zeros, or in a compressed cluster. */
type Place =
  | { readonly at: number }
  | 'zeros'
  | { readonly compressedAt: number; readonly bytes: number; readonly cluster: number };

/**
 * The machine's state of a snapshot in a qcow2 image, through the snapshot's own tables: it lies behind the end of the
 * disk (QEMU block/qcow2.c `qcow2_vm_state_offset()`). What was never written is zeros, as QEMU reads it.
 * It ends where the file does not have it any more.
 */
export class SnapshotState implements ByteSource {
  readonly name: string;
  readonly size: number;
  private readonly l1: DataView;
  private readonly file: CachedSource;
  private readonly clusterBytes: number;
  private readonly entryBytes: number;
  private readonly entriesPerTable: number;
  /** The number of the first entry of `l1` that is of the state. */
  private readonly firstTable: number;
  private readonly unpacked = new LruCache<Uint8Array>(CLUSTER_CACHE);

  /** Throws EXH_BAD_HEADER and EXH_TRUNCATED where the snapshot's first table cannot be had. */
  constructor(
    private readonly source: ByteSource,
    private readonly image: Qcow2Image,
    private readonly snapshot: Snapshot,
  ) {
    const { l1Offset, l1Entries, stateBytes, diskBytes } = snapshot;
    this.name = source.name;
    this.file = new CachedSource(source, TABLE_CACHE);
    this.clusterBytes = 2 ** image.clusterBits;
    this.entryBytes = image.extendedL2 ? 16 : 8;
    this.entriesPerTable = this.clusterBytes / this.entryBytes;
    this.firstTable = Math.ceil(diskBytes / (this.clusterBytes * this.entriesPerTable));
    if (l1Entries * 8 > MAX_L1_BYTES || stateBytes > source.size * MOST_TIMES + MOST_BEYOND) {
      const found = `${l1Entries} tables, ${stateBytes} bytes`;
      throw new ExhumeError('EXH_BAD_HEADER', `${source.name}: snapshot ${snapshot.name}: ${found} cannot be`, {
        file: source.name,
        found,
      });
    }
    this.l1 = viewOf(readExactly(source, l1Offset, l1Entries * 8, `the tables of snapshot ${snapshot.name}`));
    this.size = this.sizeInFile();
  }

  /** How much of it the file lacks at its end, in bytes. */
  get missing(): number {
    return this.snapshot.stateBytes - this.size;
  }

  read(offset: number, into: Uint8Array): number {
    const length = Math.max(0, Math.min(into.length, this.size - offset));
    for (let done = 0; done < length; ) {
      const within = (offset + done) % this.pieceBytes;
      const part = into.subarray(done, done + Math.min(length - done, this.pieceBytes - within));
      const place = this.place(offset + done - within);
      if (place === 'zeros') part.fill(0);
      else if ('at' in place) {
        if (this.source.read(place.at + within, part) < part.length) throw this.broken(place.at, 'ends there');
      } else {
        const begin = (offset + done) % this.clusterBytes;
        part.set(this.cluster(place).subarray(begin, begin + part.length));
      }
      done += part.length;
    }
    return length;
  }

  /** What one entry, or one bit of an extended one, tells of. */
  private get pieceBytes(): number {
    return this.image.extendedL2 ? this.clusterBytes / SUBCLUSTERS : this.clusterBytes;
  }

  /** Up to where the file has it. */
  private sizeInFile(): number {
    const { stateBytes } = this.snapshot;
    const end = this.source.size;
    for (let at = 0; at < stateBytes; at += this.clusterBytes) {
      const entry = this.entryAt(at);
      if (entry === undefined) return at;
      const place = this.placeIn(entry, at);
      if (place === 'zeros') continue;
      const wanted = Math.min(this.pieceBytes, stateBytes - at);
      const [from, bytes] = 'at' in place ? [place.at, wanted] : [place.compressedAt, 1];
      if (from + bytes > end) return at;
    }
    return stateBytes;
  }

  /** @param at a multiple of what one entry or bit tells of */
  private place(at: number): Place {
    const entry = this.entryAt(at);
    if (entry === undefined) throw this.broken(at, 'has no table there');
    return this.placeIn(entry, at);
  }

  /** The entry for a byte of the state: 8 or 16 bytes; undefined where its table is not in the file. */
  private entryAt(at: number): DataView | undefined {
    const cluster = Math.floor(at / this.clusterBytes);
    const table = this.firstTable + Math.floor(cluster / this.entriesPerTable);
    // A table that was never needed is not there.
    if (table * 8 + 8 > this.l1.byteLength) return undefined;
    const tableAt = offsetIn(this.l1, table * 8);
    if (tableAt === 0) return NOTHING;
    const bytes = this.file.view(tableAt + (cluster % this.entriesPerTable) * this.entryBytes, this.entryBytes);
    return bytes.length < this.entryBytes ? undefined : viewOf(bytes);
  }

  private placeIn(entry: DataView, at: number): Place {
    const high = entry.getUint32(0);
    if ((high & COMPRESSED) !== 0) return this.compressedPlace(entry, at);
    const offset = offsetIn(entry, 0);
    if (!this.image.extendedL2) {
      return offset === 0 || (entry.getUint32(4) & ZERO) !== 0 ? 'zeros' : { at: offset };
    }
    const within = at % this.clusterBytes;
    const bit = within / this.pieceBytes;
    // Bits 0 to 31 of the second word: allocated; 32 to 63: zeros.
    const allocated = ((entry.getUint32(12) >>> bit) & 1) === 1;
    return allocated && offset !== 0 ? { at: offset + within } : 'zeros';
  }

  /** Bits 0 to x-1 are the offset, those up to 61 the number of sectors behind the first; x = 62 - (cluster_bits - 8). */
  private compressedPlace(entry: DataView, at: number): Place {
    const word = entry.getBigUint64(0) & ((1n << 62n) - 1n);
    const bits = BigInt(62 - (this.image.clusterBits - 8));
    const compressedAt = Number(word & ((1n << bits) - 1n));
    const sectors = Number(word >> bits) + 1;
    const cluster = Math.floor(at / this.clusterBytes);
    return { compressedAt, bytes: sectors * SECTOR - (compressedAt % SECTOR), cluster };
  }

  private cluster({ compressedAt, bytes, cluster }: Exclude<Place, 'zeros' | { readonly at: number }>): Uint8Array {
    const kept = this.unpacked.get(cluster);
    if (kept !== undefined) return kept;
    if (this.image.compression !== 'deflate') {
      throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `${this.name}: a qcow2 cluster compressed with zstd`, {
        file: this.name,
        offset: compressedAt,
        format: 'qcow2 cluster compressed with zstd',
      });
    }
    const packed = new Uint8Array(bytes);
    const got = this.source.read(compressedAt, packed);
    const room = new Uint8Array(this.clusterBytes);
    let made: Uint8Array;
    try {
      made = inflateSync(packed.subarray(0, got), { out: room });
    } catch (error) {
      const problem = error instanceof Error ? error.message : 'invalid data';
      throw new ExhumeError('EXH_CODEC', `${this.name}: a qcow2 cluster: deflate: ${problem}`, {
        file: this.name,
        offset: compressedAt,
      });
    }
    if (made.length !== this.clusterBytes) throw this.broken(compressedAt, `has ${made.length} bytes of a cluster`);
    this.unpacked.set(cluster, made, made.length);
    return made;
  }

  private broken(offset: number, what: string): ExhumeError {
    return new ExhumeError('EXH_BAD_STRUCTURE', `${this.name}: snapshot ${this.snapshot.name} ${what}`, {
      file: this.name,
      offset,
    });
  }
}

/** An entry of a table that was never written. */
const NOTHING = new DataView(new ArrayBuffer(16));

/** The offset in an entry, in bytes; 2^56 is below 2^53 times 512, so that it is exact. */
function offsetIn(view: DataView, at: number): number {
  return (view.getUint32(at) & OFFSET_HIGH) * 2 ** 32 + ((view.getUint32(at + 4) & OFFSET_LOW) >>> 0);
}
