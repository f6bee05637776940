/** Writes small qcow2 images with snapshots for tests. Offsets stand here as numbers of their own, not taken from the reader. */

import { deflateSync } from 'fflate';

export interface WrittenSnapshot {
  readonly id: string;
  readonly name: string;
  readonly seconds: number;
  /** The machine's state; none: a snapshot of the disk only. */
  readonly state?: Uint8Array;
}

export interface Qcow2Spec {
  readonly version: 2 | 3;
  readonly snapshots: readonly WrittenSnapshot[];
  readonly clusterBits?: number;
  readonly extendedL2?: boolean;
  /** Every second cluster is compressed. */
  readonly compressed?: boolean;
  readonly diskBytes?: number;
  readonly encryption?: number;
  /** Besides what the rest of this asks for. */
  readonly features?: bigint;
}

const SUBCLUSTERS = 32;

export function writeQcow2(spec: Qcow2Spec): Uint8Array {
  const { version, snapshots, clusterBits = 9, diskBytes = 100_000 } = spec;
  const cluster = 1 << clusterBits;
  const bytes = new Uint8Array(
    16 * cluster + 4 * snapshots.reduce((sum, { state }) => sum + (state?.length ?? 0), 0) + 64_000,
  );
  const view = new DataView(bytes.buffer);
  let next = cluster;
  const take = (size: number): number => {
    const at = next;
    next += Math.ceil(size / cluster) * cluster;
    return at;
  };
  const features = (spec.features ?? 0n) | (spec.extendedL2 === true ? 16n : 0n);
  bytes.set([0x51, 0x46, 0x49, 0xfb]);
  view.setUint32(4, version);
  view.setUint32(20, clusterBits);
  view.setBigUint64(24, BigInt(diskBytes));
  view.setUint32(32, spec.encryption ?? 0);
  view.setUint32(60, snapshots.length);
  if (version === 3) {
    view.setBigUint64(72, features);
    view.setUint32(96, 4);
    view.setUint32(100, 112);
  }
  const placed = snapshots.map((snapshot) => ({ snapshot, ...writeState(snapshot.state) }));
  const table = take(placed.length * 128);
  view.setBigUint64(64, BigInt(table));
  let at = table;
  for (const { snapshot, l1, entries } of placed) {
    const { id, name, seconds, state } = snapshot;
    const extra = version === 3 ? 16 : 0;
    view.setBigUint64(at, BigInt(l1));
    view.setUint32(at + 8, entries);
    view.setUint16(at + 12, id.length);
    view.setUint16(at + 14, name.length);
    view.setUint32(at + 16, seconds);
    view.setBigUint64(at + 24, 1_500_000_000n);
    view.setUint32(at + 32, state?.length ?? 0);
    view.setUint32(at + 36, extra);
    if (extra > 0) {
      view.setBigUint64(at + 40, BigInt(state?.length ?? 0));
      view.setBigUint64(at + 48, BigInt(diskBytes));
    }
    bytes.set(new TextEncoder().encode(id + name), at + 40 + extra);
    at += Math.ceil((40 + extra + id.length + name.length) / 8) * 8;
  }
  return bytes.slice(0, next);

  /** The state behind the disk, which has no clusters of its own here. */
  function writeState(state: Uint8Array = new Uint8Array()): { readonly l1: number; readonly entries: number } {
    const entryBytes = spec.extendedL2 === true ? 16 : 8;
    const perTable = cluster / entryBytes;
    const first = Math.ceil(diskBytes / (cluster * perTable));
    const clusters = Math.ceil(state.length / cluster);
    const entries = first + Math.ceil(clusters / perTable);
    const l1 = take(entries * 8);
    for (let i = 0; i < clusters; i++) {
      const pointer = l1 + 8 * (first + Math.floor(i / perTable));
      if (i % perTable === 0) view.setBigUint64(pointer, (1n << 63n) | BigInt(take(cluster)));
      const entry = Number(view.getBigUint64(pointer) & 0x00ff_ffff_ffff_fe00n) + (i % perTable) * entryBytes;
      const content = new Uint8Array(cluster);
      content.set(state.subarray(i * cluster, (i + 1) * cluster));
      writeCluster(entry, content, i);
    }
    return { l1, entries };
  }

  function writeCluster(entry: number, content: Uint8Array, index: number): void {
    if (content.every((byte) => byte === 0)) {
      // Nothing at all, or marked as zeros with something else behind it.
      if (version === 3 && spec.extendedL2 !== true && index % 2 === 1)
        view.setBigUint64(entry, BigInt(take(cluster)) | 1n);
      return;
    }
    if (spec.compressed === true && index % 2 === 0) {
      const packed = deflateSync(content);
      // Not at the beginning of a sector.
      const at = take(packed.length + 100) + 100;
      bytes.set(packed, at);
      const sectors = Math.floor((at + packed.length - 1) / 512) - Math.floor(at / 512);
      const bits = BigInt(62 - (clusterBits - 8));
      view.setBigUint64(entry, (1n << 62n) | (BigInt(sectors) << bits) | BigInt(at));
      return;
    }
    const at = take(cluster);
    view.setBigUint64(entry, (1n << 63n) | BigInt(at));
    if (spec.extendedL2 !== true) {
      bytes.set(content, at);
      return;
    }
    const size = cluster / SUBCLUSTERS;
    let allocated = 0;
    for (let i = 0; i < SUBCLUSTERS; i++) {
      const part = content.subarray(i * size, (i + 1) * size);
      const zeros = part.every((byte) => byte === 0);
      if (!zeros) allocated |= 1 << i;
      // What was there before, and does not count.
      bytes.set(zeros ? new Uint8Array(size).fill(0xee) : part, at + i * size);
    }
    view.setUint32(entry + 12, allocated);
  }
}
