import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Damage } from '../bytes/errors.js';
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
