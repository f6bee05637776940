import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExhumeError, isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { BTF_HEADER, Btf, BtfKind } from './btf.js';

function sampleBtf(): Uint8Array {
  const { kernel } = openSample();
  const start = kernel.symbols.address('__start_BTF');
  const stop = kernel.symbols.address('__stop_BTF');
  assert.ok(start !== undefined && stop !== undefined);
  return kernel.memory.bytes(start, Number(stop - start));
}

const bytes = sampleBtf();
const btf = new Btf(bytes);

test('what VMCOREINFO tells of structures, BTF tells too', () => {
  const { vmcoreinfo } = openSample().kernel;
  assert.ok(vmcoreinfo);
  let compared = 0;
  for (const [key, value] of vmcoreinfo.lines) {
    const [, kind, struct, member] = /^(SIZE|OFFSET)\((\w+)(?:\.(\w+))?\)$/.exec(key) ?? [];
    if (kind === undefined || struct === undefined) continue;
    const id = btf.findStruct(struct);
    if (id === undefined) continue;
    const told = Number(value);
    if (kind === 'SIZE') assert.equal(btf.size(id), told, key);
    else assert.equal((btf.member(id, member ?? '')?.bitOffset ?? -8) / 8, told, key);
    compared++;
  }
  assert.ok(compared > 40, `${compared} compared`);
});

test('members are found inside anonymous unions and by path, and bit fields keep their width', () => {
  const task = btf.findStruct('task_struct');
  assert.ok(task !== undefined);
  const comm = btf.member(task, 'comm');
  assert.equal(comm && btf.size(comm.typeId), 16);
  const timekeeper = btf.findStruct('timekeeper');
  assert.ok(timekeeper !== undefined);
  const mono = btf.member(timekeeper, 'tkr_mono');
  const base = btf.member(timekeeper, 'tkr_mono.base');
  assert.ok(mono && base && base.bitOffset > mono.bitOffset);
  const page = btf.findStruct('page');
  assert.ok(page !== undefined);
  assert.equal(btf.member(page, 'mapping')?.bitOffset, 24 * 8);
  assert.equal(btf.member(page, 'no_such_member'), undefined);
  assert.equal(btf.member(task, 'in_execve')?.bitSize, 1);
});

/** The same types with other characters in their names, which are then in no order, as they were before 7.0. */
function unsorted(): Btf {
  const copy = bytes.slice();
  const { headerLength, stringOffset, stringLength } = BTF_HEADER.read(viewOf(copy), 0, true);
  const strings = copy.subarray(headerLength + stringOffset, headerLength + stringOffset + stringLength);
  strings.forEach((character, at) => {
    if (character !== 0) strings[at] = 0xff - character;
  });
  return new Btf(copy);
}

for (const [title, types] of [
  ['sorted by name', btf],
  ['in no order', unsorted()],
] as const) {
  test(`types ${title} are found by name and kind: the first of each`, () => {
    const first = new Map<string, number>();
    for (let id = 1; id <= types.lastId; id++) {
      const key = `${types.kind(id)} ${types.name(id)}`;
      if (types.name(id) !== '' && !first.has(key)) first.set(key, id);
    }
    const some = [...first].filter((_, index) => index % 200 === 0);
    assert.ok(some.length > 200);
    for (const [key, id] of some) assert.equal(types.find(types.name(id), types.kind(id)), id, key);
    assert.equal(types.find('no_such_type', BtfKind.Struct), undefined);
    assert.equal(types.find('task_struct', BtfKind.Float), undefined);
  });
}

test('enumerators, typedefs and kinds', () => {
  assert.equal(btf.enumerator('PIDTYPE_TGID'), 1n);
  assert.equal(btf.enumerator('no_such_enumerator'), undefined);
  const typedef = btf.find('atomic_long_t', BtfKind.Typedef);
  assert.ok(typedef !== undefined);
  assert.equal(btf.name(btf.resolve(btf.find('u64', BtfKind.Typedef) ?? 0)), 'long long unsigned int');
  assert.equal(btf.size(typedef), 8);
  assert.equal(btf.name(0), 'void');
  assert.throws(() => btf.kind(btf.lastId + 1), ExhumeError);
});

test('every type of a real kernel can be named, resolved and measured', () => {
  let sized = 0;
  for (let id = 1; id <= btf.lastId; id += 7) {
    btf.name(id);
    if (btf.size(id) !== undefined) sized++;
    for (const member of btf.members(id)) assert.ok(member.typeId <= btf.lastId);
  }
  assert.ok(btf.lastId > 100_000 && sized > 1000);
});

test('damaged BTF is refused or read within its bounds', () => {
  const random = new Random(7);
  // The header, the first types and the strings they name: small enough to be read many times.
  const small = cutBtf(20_000);
  assert.ok(new Btf(small).lastId > 500);
  for (let round = 0; round < 300; round++) {
    const image = round % 5 === 0 ? small.slice(0, random.below(small.length)) : small.slice();
    if (round % 5 !== 0) random.mutate(image.subarray(0, round % 2 === 0 ? 24 : image.length), 16);
    try {
      const damaged = new Btf(image);
      for (let id = 1; id <= damaged.lastId; id += 11) {
        damaged.name(id);
        damaged.size(id);
        for (const member of damaged.members(id)) damaged.member(id, member.name || 'x');
      }
      damaged.enumerator('false');
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
});

/** The same BTF with only the types of the first `length` bytes: a real prefix with a matching header. */
function cutBtf(length: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const strings = view.getUint32(4, true) + view.getUint32(16, true);
  let types = 24;
  for (let id = 1; types < length; id++) types = offsetOfType(id + 1);
  const stringBytes = bytes.subarray(strings, strings + 200_000);
  const cut = new Uint8Array(types + stringBytes.length);
  cut.set(bytes.subarray(0, types));
  cut.set(stringBytes, types);
  const header = new DataView(cut.buffer);
  header.setUint32(12, types - 24, true);
  header.setUint32(16, types - 24, true);
  header.setUint32(20, stringBytes.length, true);
  return cut;
}

/** Where a type begins, by walking as the format says (include/uapi/linux/btf.h), independently of the class. */
function offsetOfType(id: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const fixed = new Map([
    [1, 4],
    [3, 12],
    [14, 4],
    [17, 4],
  ]);
  const each = new Map([
    [4, 12],
    [5, 12],
    [6, 8],
    [13, 8],
    [15, 12],
    [19, 12],
  ]);
  let at = 24;
  for (let left = id - 1; left > 0; left--) {
    const info = view.getUint32(at + 4, true);
    const kind = (info >>> 24) & 0x1f;
    at += 12 + (fixed.get(kind) ?? 0) + (each.get(kind) ?? 0) * (info & 0xffff);
  }
  return at;
}
