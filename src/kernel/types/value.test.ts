import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isExhumeError } from '../../bytes/errors.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { Btf, BtfKind } from './btf.js';
import { declaration } from './declare.js';
import { memberDefinitions } from './definition.js';
import { readValue } from './value.js';

const { kernel } = openSample();
const start = kernel.symbols.address('__start_BTF');
const stop = kernel.symbols.address('__stop_BTF');
assert.ok(start !== undefined && stop !== undefined);
const image = kernel.memory.bytes(start, Number(stop - start));
const btf = new Btf(image);

test('any structure of a real kernel has a definition and a value, whatever its bytes are', () => {
  const random = new Random(23);
  let seen = 0;
  while (seen < 400) {
    const id = 1 + random.below(btf.lastId);
    if (btf.kind(id) !== BtfKind.Struct && btf.kind(id) !== BtfKind.Union) continue;
    const size = btf.size(id) ?? 0;
    if (size > 1 << 16) continue;
    seen++;
    for (const member of memberDefinitions(btf, id)) {
      assert.ok(member.bitOffset + Math.max(member.bitSize, 0) <= size * 8, `${btf.name(id)}.${member.name}`);
      assert.ok(member.declaration.length > 0);
    }
    const bytes = Uint8Array.from({ length: size }, () => random.below(256));
    assert.equal(readValue(btf, id, bytes, true).kind, 'struct');
    if (size > 0)
      assert.throws(
        () => readValue(btf, id, bytes.subarray(0, 0), true),
        (error) => isExhumeError(error),
      );
  }
});

test('damaged type information ends in an error of ours or in bounds', () => {
  const random = new Random(29);
  const task = btf.findStruct('task_struct');
  assert.ok(task !== undefined);
  const bytes = new Uint8Array(btf.size(task) ?? 0);
  let errors = 0;
  for (let round = 0; round < 60; round++) {
    const damaged = image.slice();
    // In the first types, which all others are made of.
    for (let left = 40; left > 0; left--) random.mutate(damaged.subarray(24 + 12 * random.below(2000)), 1);
    random.mutate(damaged.subarray(24, 24 + 4000), 24);
    try {
      const types = new Btf(damaged);
      declaration(types, task, 'x');
      memberDefinitions(types, task);
      readValue(types, task, bytes, true);
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
      errors++;
    }
  }
  assert.ok(errors > 0);
});
