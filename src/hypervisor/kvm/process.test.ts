import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { physicalAddress, virtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { KernelView } from '../../kernel/kernel-view.js';
import { readMemoryAreas } from '../../kernel/memory/address-space.js';
import { readTasks } from '../../kernel/tasks/task-list.js';
import { xarrayEntries } from '../../kernel/types/xarray.js';
import { openSample } from '../../testing/sample.js';
import { FileCache } from './file-pages.js';
import { readVmProcess } from './process.js';
import { PAGE } from './process-pages.js';

const { kernel } = openSample();
const view = new KernelView(kernel);
const { tasks } = readTasks(view);
const init = tasks.find(({ pid }) => pid === 1);
assert.ok(init);
const mm = view.struct('mm_struct', init.mm);

describe('the process of a guest, tried on another one', () => {
  const damage: Damage[] = [];
  const process = readVmProcess(view, mm, tasks, damage);
  assert.ok(process);

  it('is told with its arguments', () => {
    assert.equal(process.told?.pid, 1);
    assert.equal(process.told?.comm, init.comm);
    assert.ok((process.told?.commandLine.length ?? 0) > 0);
    assert.deepEqual(damage, []);
  });

  it('has its pages where its page table has them', () => {
    const root = view.memory.translate(mm.pointer('pgd'));
    assert.ok(root !== undefined);
    const table = kernel.machine.pageTable(physicalAddress(root), kernel.pageTable.levels);
    let mapped = 0;
    let elsewhere = 0;
    for (const { start, end, file } of readMemoryAreas(view, mm, [])) {
      if (end - start > 64n << 20n) continue;
      for (let at: bigint = start; at < end; at += 4096n) {
        const page: number = process.pages.at(Number(at >> 12n));
        const physical = table.translate(virtualAddress(at));
        if (physical !== undefined) {
          assert.equal(page, physical / 4096);
          mapped++;
        } else if (file === undefined) {
          assert.equal(page, PAGE.untouched);
        } else {
          elsewhere++;
        }
      }
    }
    assert.ok(mapped > 20 && elsewhere > 20, `${mapped} mapped, ${elsewhere} of files`);
  });

  it('finds pages of a file in the page cache, whole and in large folios', () => {
    const mapping = mm.pointer('exe_file->f_mapping');
    const cache = new FileCache(view);
    let entries = 0;
    for (const { index } of xarrayEntries(
      view.memory,
      view.types,
      view.struct('address_space', mapping).addressOf('i_pages'),
    )) {
      const frame = cache.at(mapping, Number(index));
      assert.ok(frame !== undefined && frame >= 0);
      assert.ok(cache.isUptodate(frame));
      entries++;
    }
    assert.ok(entries > 0);
    assert.equal(cache.at(mapping, 1 << 30), undefined);
  });
});
