import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Damage } from '../bytes/errors.js';
import { damagedView } from '../testing/damaged-view.js';
import { openSample } from '../testing/sample.js';
import { KernelView } from './kernel-view.js';
import { readModuleDetails } from './module-details.js';

const view = new KernelView(openSample().kernel);

test('modules are those of the /proc/modules that the guest printed', () => {
  const damage: Damage[] = [];
  const modules = readModuleDetails(view, damage);
  assert.deepEqual(damage, []);
  assert.deepEqual(
    modules.map(({ name, size, state }) => `${name} ${size} ${state}`),
    ['virtio_blk 36864 live', 'qemu_fw_cfg 20480 live'],
  );
  for (const module of modules) {
    assert.equal(view.kernel.symbols.at(module.base)?.symbol.module, module.name, 'its code begins at its base');
    assert.match(module.buildId ?? '', /^[0-9a-f]{40}$/);
    assert.equal(module.taints, '');
    assert.equal(module.references, 0);
    assert.equal(
      module.areas.reduce((sum, area) => sum + area.size, 0),
      module.size,
    );
    assert.deepEqual(module.areas.map(({ name }) => name).slice(0, 3), ['text', 'data', 'rodata']);
  }
});

test('a list of modules that goes round in a circle, and a name whose page is gone, cost what they touch', () => {
  const circle = damagedView();
  const [newest, oldest] = readModuleDetails(circle.view, []);
  assert.ok(newest && oldest);
  const link = circle.view.struct('module', oldest.address).addressOf('list');
  circle.write(link, link);
  const damage: Damage[] = [];
  const names = readModuleDetails(circle.view, damage).map(({ name }) => name);
  assert.deepEqual([...new Set(names)], ['virtio_blk', 'qemu_fw_cfg']);
  assert.ok(names.length < 5);
  assert.equal(damage[0]?.code, 'EXH_BAD_STRUCTURE');

  const filtered = damagedView();
  filtered.exclude(newest.address);
  const found: Damage[] = [];
  assert.deepEqual(readModuleDetails(filtered.view, found), []);
  assert.ok(found.length > 0);
  for (const { code, part } of found) assert.equal(`${part} ${code}`, 'modules EXH_PAGE_EXCLUDED');
});

test('a module that is being unloaded, tainted and in use says so; notes that lie about their size have no build id', () => {
  const { view, set, writeBytes } = damagedView();
  const [first] = readModuleDetails(view, []);
  assert.ok(first);
  const module = view.struct('module', first.address);
  set(module, 'state', 2);
  set(module, 'refcnt.counter', 4);
  set(module, 'taints', (1n << 12n) | (1n << 13n) | (1n << 40n));
  const notes = module.follow('notes_attrs');
  assert.ok(notes);
  const { size } = view.types.requireStruct('bin_attribute');
  for (let index = 0; index < 8; index++) {
    const attribute = view.struct('bin_attribute', notes.addressOf('attrs') + BigInt(index * size));
    if (attribute.pointer('private') === 0n || attribute.int('size') > 4096) break;
    writeBytes(attribute.pointer('private'), Uint8Array.of(0xff, 0xff, 0xff, 0xff));
  }
  const damage: Damage[] = [];
  const [again] = readModuleDetails(view, damage);
  assert.equal(again?.state, 'going');
  assert.equal(again?.references, 3);
  assert.equal(again?.taints, 'OE#40');
  assert.equal(again?.buildId, undefined);
  assert.deepEqual(damage, []);
});
