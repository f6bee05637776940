import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ByteSource } from '../../bytes/byte-source.js';
import { MemorySource } from '../../bytes/byte-source.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import { SparseMemory } from '../../dump/testing/sparse-memory.js';
import type { Handover } from '../model.js';
import { findHandovers } from '../open.js';
import { type BuiltHandover, buildHandover } from './build.js';
import { describeHandover, MEMORY_FILE } from './describe.js';
import type { KhoBuildDescription } from './description.js';

const PAGE = 4096;
const SOUND: KhoBuildDescription = {
  scratch: [{ address: 0x20000000, size: '16M' }],
  users: [
    { reserveMem: [{ name: 'trace', address: 0x8000000, size: '1M', content: { random: 1 } }] },
    { luo: { sessions: [{ name: 'vm', files: [{ memfd: { size: '40K', order: 1, content: { random: 2 } } }] }] } },
    { name: 'other', address: 0x9000800, tree: { '/': { compatible: 'other-v1' } } },
  ],
};

/** All physical memory as a file. */
function fileOf(memory: PhysicalMemory): (name: string) => ByteSource {
  return (name) => {
    assert.equal(name, MEMORY_FILE);
    return {
      name,
      size: 2 ** 52,
      read: (address, into) => {
        into.set(memory.bytes(address, into.length));
        return into.length;
      },
    };
  };
}

const first = (memory: PhysicalMemory, { note }: BuiltHandover): Handover => {
  const [handover] = findHandovers(memory, undefined, [note]);
  assert.ok(handover);
  return handover;
};
/** What a handover says; where pages of its map lie is no part of that. */
const said = ({ tree, preserved, ...rest }: Handover) => ({
  ...rest,
  blocks: preserved?.blocks,
  properties: tree.root.properties.map(({ name, value }) => [name, value]),
});

for (const [version, bitmaps] of [['kho-v4'], ['kho-v2'], ['kho-v1', 512], ['kho-v1', 4096]] as const) {
  test(`what is described of ${version}${bitmaps === undefined ? '' : ` (${bitmaps})`} builds the same handover`, () => {
    const built = buildHandover(
      { ...SOUND, version, ...(bitmaps !== undefined && { bitmaps }) },
      () => new MemorySource(new Uint8Array()),
    );
    const handover = first(built.image, built);
    const again = buildHandover(describeHandover(handover, built.image), fileOf(built.image));
    assert.deepEqual(again.tree, built.tree);
    assert.deepEqual(said(first(again.image, again)), said(handover));
    for (const { address, size } of built.blocks) {
      assert.deepEqual(again.image.bytes(address, size), built.image.bytes(address, size));
    }
  });
}

test('pages that a dump lacks are lacking again: excluded, and no RAM', () => {
  const built = buildHandover(SOUND, () => new MemorySource(new Uint8Array()));
  const memory = new SparseMemory();
  for (const { start, end } of built.image.presentRanges()) {
    for (let at: number = start; at < end; at += PAGE) memory.at(at / PAGE).set(built.image.bytes(at, PAGE));
  }
  memory.pages.set(0x8010, 'excluded');
  memory.pages.delete(0x8020);
  const again = buildHandover(describeHandover(first(memory, built), memory), fileOf(memory));
  const states = [0x800f, 0x8010, 0x8020].map((pfn) =>
    again.image.state(pfn as Parameters<typeof again.image.state>[0]),
  );
  assert.deepEqual(states, ['present', 'excluded', 'absent']);
});

test('what cannot be built again is refused', () => {
  const built = buildHandover(
    { version: '2023-v3', users: [{ name: 'a', tree: { '/': { mem: { mem: [{ size: 8 }] } } } }] },
    () => new MemorySource(new Uint8Array()),
  );
  assert.throws(() => describeHandover(first(built.image, built), built.image), { code: 'EXH_USAGE' });
  const sound = buildHandover(SOUND, () => new MemorySource(new Uint8Array()));
  const { preserved: _, ...unmapped } = first(sound.image, sound);
  assert.throws(() => describeHandover({ ...unmapped, preserved: undefined }, sound.image), { code: 'EXH_USAGE' });
});
