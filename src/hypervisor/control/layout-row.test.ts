import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layoutRow, runsOf } from './layout-row.js';
import { VMCS_LAYOUTS } from './layouts/all.js';
import { PENRYN } from './layouts/intel.js';
import { offsetsOf } from './vmcs-layout.js';

test('the runs of every layout give its offsets again', () => {
  for (const layout of VMCS_LAYOUTS) {
    assert.deepEqual([...offsetsOf(runsOf(layout))].sort(), [...layout.offsets].sort(), layout.name);
  }
});

test('a row of the table is what the table has', () => {
  const row = layoutRow(PENRYN);
  assert.match(row, /^ {2}revisions: \[0xd\],$/m);
  assert.match(row, /^ {2}accessRights: 'rotated',$/m);
  assert.match(row, /^ {4}\[0x40, 8, 'PIN_BASED_VM_EXEC_CONTROL CPU_BASED_VM_EXEC_CONTROL EXCEPTION_BITMAP /m);
});
