import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ByteSource, MemorySource, readExactly } from '../bytes/byte-source.js';
import { isExhumeError } from '../bytes/errors.js';
import { Random } from '../testing/random.js';
import { chooseSnapshot, readQcow2 } from './qcow2.js';
import { SnapshotState } from './qcow2-state.js';
import { type Qcow2Spec, writeQcow2 } from './testing/qcow2-writer.js';

/** 70 KB, of which every third 512 bytes are zeros, and every fifth is half full. */
const STATE = Uint8Array.from({ length: 70_001 }, (_, i) => {
  const block = i >> 9;
  return block % 3 === 0 || (block % 5 === 0 && i % 512 > 200) ? 0 : (i * 7 + (i >> 8)) & 0xff;
});
const MOMENT = { id: '3', name: 'moment', seconds: 1_700_000_000, state: STATE };

function sourceOf(spec: Qcow2Spec): ByteSource {
  return new MemorySource(writeQcow2(spec), 'disk.qcow2');
}

function open(source: ByteSource, wanted?: string) {
  const image = readQcow2(source);
  const { snapshot, how } = chooseSnapshot(source, image, wanted);
  return { image, snapshot, how, state: new SnapshotState(source, image, snapshot) };
}

const KINDS: readonly [string, Qcow2Spec][] = [
  ['version 2', { version: 2, snapshots: [MOMENT] }],
  ['version 3', { version: 3, snapshots: [MOMENT] }],
  ['compressed clusters', { version: 3, snapshots: [MOMENT], compressed: true }],
  ['extended L2 entries', { version: 3, snapshots: [MOMENT], extendedL2: true }],
  ['large clusters', { version: 3, snapshots: [MOMENT], clusterBits: 16, compressed: true }],
  ['a disk that ends with a table', { version: 3, snapshots: [MOMENT], diskBytes: 64 * 512 * 3 }],
];

for (const [kind, spec] of KINDS) {
  test(`the state of a snapshot, ${kind}`, () => {
    const { state, how } = open(sourceOf(spec));
    assert.equal(state.size, STATE.length);
    assert.equal(state.missing, 0);
    assert.equal(how, 'the only one of a machine');
    assert.deepEqual(readExactly(state, 0, STATE.length, 'all'), STATE);
    const random = new Random(7);
    for (let i = 0; i < 50; i++) {
      const at = random.below(STATE.length);
      const length = Math.min(random.below(3000), STATE.length - at);
      assert.deepEqual(readExactly(state, at, length, 'a part'), STATE.slice(at, at + length));
    }
    assert.equal(state.read(STATE.length, new Uint8Array(10)), 0);
  });
}

test('the newest snapshot of a machine is taken, or the one that is named', () => {
  const other = Uint8Array.from({ length: 1000 }, (_, i) => (i * 3) & 0xff);
  const source = sourceOf({
    version: 3,
    snapshots: [
      { id: '1', name: '3', seconds: 30, state: other },
      MOMENT,
      { id: '4', name: 'disk', seconds: 1_800_000_000 },
      { id: '5', name: 'old', seconds: 10, state: other },
    ],
  });
  const picked = (wanted?: string): readonly string[] => {
    const { snapshot, how } = open(source, wanted);
    return [snapshot.id, how];
  };
  assert.deepEqual(picked(), ['3', 'the newest']);
  assert.deepEqual(picked('old'), ['5', 'it was asked for']);
  // A name counts before an ID.
  assert.deepEqual(picked('3'), ['1', 'it was asked for']);
  assert.deepEqual(picked('5'), ['5', 'it was asked for']);
  assert.deepEqual(readExactly(open(source, 'old').state, 0, 1000, 'all'), other);
  assert.throws(() => picked('none'), { code: 'EXH_USAGE', message: /has no snapshot none/ });
  assert.throws(() => picked('disk'), { code: 'EXH_UNSUPPORTED_FORMAT', message: /a snapshot of the disk only: disk/ });
  const empty = sourceOf({ version: 3, snapshots: [] });
  assert.throws(() => open(empty), { code: 'EXH_UNSUPPORTED_FORMAT', message: /without a snapshot of a machine/ });
});

test('encryption, external data and what came later are refused by name', () => {
  const refused: readonly [Partial<Qcow2Spec>, RegExp][] = [
    [{ encryption: 1 }, /encrypted \(AES\)/],
    [{ encryption: 2 }, /encrypted \(LUKS\)/],
    [{ features: 4n }, /an external data file/],
    [{ features: 0x100n }, /features that are not known \(0x100\)/],
  ];
  for (const [more, message] of refused) {
    const source = sourceOf({ version: 3, snapshots: [MOMENT], ...more });
    assert.throws(() => open(source), { code: 'EXH_UNSUPPORTED_FORMAT', message });
  }
});

test('of an image that was cut off there is the state up to there', () => {
  const whole = writeQcow2({ version: 3, snapshots: [MOMENT] });
  // The list of snapshots is the last in these images: it has to be there.
  const table = Number(new DataView(whole.buffer).getBigUint64(64));
  const cut = whole.slice();
  const lost = 40_000;
  cut.copyWithin(table - lost, table);
  const short = cut.subarray(0, whole.length - lost);
  new DataView(short.buffer).setBigUint64(64, BigInt(table - lost));
  const { state } = open(new MemorySource(short, 'cut.qcow2'));
  assert.ok(state.size > 1000 && state.size < STATE.length);
  assert.equal(state.missing, STATE.length - state.size);
  assert.deepEqual(readExactly(state, 0, 1000, 'the beginning'), STATE.slice(0, 1000));
});

test('broken images give state or an error of ours, whatever is broken', () => {
  const random = new Random(11);
  for (const [, spec] of KINDS) {
    const bytes = writeQcow2(spec);
    for (let round = 0; round < 150; round++) {
      const broken = bytes.slice(0, random.below(4) === 0 ? random.below(bytes.length) : bytes.length);
      // The header and the tables are where it hurts.
      for (let i = 0; i < 6; i++) {
        const reach = random.below(2) === 0 ? 112 : broken.length;
        broken[random.below(reach)] = random.below(256);
      }
      broken.set(bytes.subarray(0, 4));
      try {
        const { state } = open(new MemorySource(broken, 'broken.qcow2'));
        assert.ok(state.size <= 16 * broken.length + (256 << 20));
        state.read(0, new Uint8Array(200_000));
      } catch (error) {
        if (!isExhumeError(error)) throw error;
      }
    }
  }
});
