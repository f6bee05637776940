import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSample } from '../testing/sample.js';
import { KernelView } from './kernel-view.js';
import { readModuleDetails } from './module-details.js';
import { moduleSections } from './module-sections.js';

const view = new KernelView(openSample().kernel);

test('sections of modules lie in their areas, the code where the module begins', () => {
  const modules = readModuleDetails(view, []);
  assert.ok(modules.length > 0);
  for (const module of modules) {
    const sections = moduleSections(view, module);
    assert.equal(sections.get('.text'), module.base);
    const data = module.areas.find(({ name }) => name === 'data');
    const at = sections.get('.data');
    if (data !== undefined && at !== undefined) assert.ok(at >= data.base && at < data.base + BigInt(data.size));
    assert.ok(sections.has('.gnu.linkonce.this_module'), [...sections.keys()].join(' '));
  }
});
