import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SparseMemory } from '../../dump/testing/sparse-memory.js';
import { HandoverReader } from '../source-reader.js';
import { luoWithMemfd, put } from '../testing/build.js';
import { FREED_LUO, readLuoStruct } from './luo.js';
import { readUser } from './users.js';

function read(kept: Parameters<typeof readLuoStruct>[2], overwritten: boolean) {
  const memory = new SparseMemory();
  luoWithMemfd(memory);
  if (overwritten) put(memory, 0x500000, new Uint8Array(32).fill(0xa5));
  const reader = new HandoverReader(memory);
  return readLuoStruct(reader.bytes(0x500000n, 32), reader, kept);
}

test('where struct luo_ser was freed and used again, sessions are read from the list that the kernel kept', () => {
  const { format, files, content, damage } = read({ direction: 'incoming', sessions: 0x501000n }, true);
  assert.equal(format, FREED_LUO);
  assert.deepEqual([files.map(({ name }) => name), damage], [['vm/7'], []]);
  assert.match(content.values[0]?.value ?? '', /^0x501000, by luo_session_global$/);
});

test('when the sessions were taken, none are told', () => {
  const { files, content, damage } = read({ direction: 'incoming' }, true);
  assert.deepEqual([files, damage, content.values[0]?.value], [[], [], 'taken']);
});

test('while it is there, it tells itself; what the old kernel wrote is not taken for freed', () => {
  for (const direction of ['incoming', 'outgoing'] as const) {
    const { format, files } = read({ direction, sessions: 0x1000n }, false);
    assert.deepEqual([format, files.map(({ name }) => name)], ['struct luo_ser luo-v5', ['vm/7']]);
  }
  assert.notEqual(read({ direction: 'outgoing' }, true).format, FREED_LUO);
});

test('where the page is used for a tree now, it is none of the handover', () => {
  const memory = new SparseMemory();
  luoWithMemfd(memory);
  put(memory, 0x500000, Uint8Array.of(0xd0, 0x0d, 0xfe, 0xed));
  const reader = new HandoverReader(memory);
  const kept = { direction: 'incoming', sessions: 0x501000n } as const;
  const { format, files } = readUser('LUO', reader.bytes(0x500000n, 32), reader, kept);
  assert.deepEqual([format, files.map(({ name }) => name)], [FREED_LUO, ['vm/7']]);
});
