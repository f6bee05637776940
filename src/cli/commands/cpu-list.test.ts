import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuRange } from '../../report/text/cpu-range.js';
import { cpuList } from './cpu-list.js';

test('lists of CPUs are read and written as people write them', () => {
  assert.deepEqual(cpuList('3,0-1,1'), [0, 1, 3]);
  assert.equal(cpuRange([0, 1, 3, 5, 6, 7]), '0-1,3,5-7');
  assert.equal(cpuRange([]), '');
  for (const wrong of ['', '1-', '3-1', 'x', '99999', '0,,1']) assert.throws(() => cpuList(wrong), wrong);
});
