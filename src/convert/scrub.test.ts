import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pfn } from '../bytes/address.js';
import { virtualAddress } from '../bytes/address.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { openKernels, selectKernel } from '../kernel/open.js';
import { openMachine } from '../machine/open.js';
import { damagedView } from '../testing/damaged-view.js';
import { PatchedMemory } from '../testing/patched-memory.js';
import { Random } from '../testing/random.js';
import { openSample } from '../testing/sample.js';
import { ScrubbedMemory } from '../testing/scrubbed-memory.js';
import type { ScrubKind } from './scrub/blanking.js';
import { scrubUser, type UserScrub } from './scrub.js';

const { kernel, container } = openSample();
const scrub = scrubUser(kernel);
const bytesOf = ({ list }: UserScrub, kind: ScrubKind) => list.find((one) => one.kind === kind)?.bytes;

test('of a kernel that is whole every kind is looked for, and nothing is damaged', () => {
  assert.deepEqual(
    scrub.list.map(({ kind }) => kind),
    [
      'file pages on no list',
      'pages on CPU free lists',
      'free slab objects',
      'socket buffers',
      'keys',
      'network page fragments',
      'pipes',
      'terminals',
      'messages',
    ],
  );
  assert.deepEqual(scrub.damage, []);
  assert.ok((bytesOf(scrub, 'free slab objects') ?? 0) > 1e6);
  assert.ok((bytesOf(scrub, 'terminals') ?? 0) > 8192);
});

test('spans are ascending, disjoint, and in memory', () => {
  const { blank } = scrub;
  const end = container.memory.ranges().at(-1)?.end ?? 0;
  for (let at = 0; at < blank.length; at++) {
    assert.ok((blank[at] as number) > (blank[at - 1] ?? -1) && (blank[at] as number) <= end);
  }
});

test('the kernel in what is left is the same one, with the same tasks on their stacks', () => {
  const memory = new ScrubbedMemory(kernel, scrub);
  const again = selectKernel(openKernels(openMachine({ ...container, memory })));
  assert.deepEqual(again.vmcoreinfo, kernel.vmcoreinfo);
  assert.equal(again.symbols.size, kernel.symbols.size);
  assert.deepEqual(again.damage, kernel.damage);
});

test('a page of a file that was taken off its list goes, as those on lists do', () => {
  const { view, writeBytes } = damagedView();
  const page = filePage(view);
  // PG_lru and all other flags.
  writeBytes(page.address + BigInt(page.type.require('flags').offset), new Uint8Array(4));
  const found = scrubUser(view.kernel);
  assert.equal(bytesOf(found, 'file pages on no list'), (bytesOf(scrub, 'file pages on no list') ?? 0) + 4096);
});

/** The first page of the first file of the root file system that has one. */
function filePage(view: KernelView) {
  const base = view.memory.pointer(view.address('vmemmap_base'));
  const { size } = view.types.requireStruct('page');
  const lru = 1n << (view.types.enumerator('PG_lru') ?? 0n);
  for (let pfn = 0x1000; ; pfn++) {
    const page = view.struct('page', base + BigInt(pfn * size));
    const mapping = page.pointer('mapping');
    const loose = (page.big('flags') & ~(0xfn << 60n)) !== 0n && (page.big('flags') & lru) !== 0n;
    if (loose && mapping >> 47n === 0x1ffffn && (mapping & 3n) === 0n && page.int('_refcount.counter') > 0) return page;
  }
}

test('a free list of the slab allocator that leads astray costs its cache, and no more', () => {
  const { view, set } = damagedView();
  const caches = view.address('slab_caches');
  const offset = BigInt(view.types.requireStruct('kmem_cache').require('list').offset);
  const cache = view.struct('kmem_cache', view.memory.pointer(caches) - offset);
  set(cache, 'random', 0n);
  const found = scrubUser(view.kernel);
  assert.ok((bytesOf(found, 'free slab objects') ?? 0) > 1e6);
  assert.equal(bytesOf(found, 'terminals'), bytesOf(scrub, 'terminals'));
});

test('a screen that leads into a structure is damage, and the structure stays', () => {
  const { view, write } = damagedView();
  const console = view.memory.pointer(view.address('vc_cons'));
  // The structure of the first process lies in a slab.
  const tasks = view.struct('task_struct', view.address('init_task'));
  const first = tasks.pointer('tasks') - BigInt(tasks.type.require('tasks').offset);
  write(view.struct('vc_data', console).addressOf('vc_screenbuf'), first);
  const found = scrubUser(view.kernel);
  const messages = found.damage.map(({ message }) => message).join('\n');
  assert.match(messages, /no buffer is at .*: it is in the slab cache task_struct/);
  const physical = view.memory.translate(virtualAddress(first)) ?? 0;
  assert.ok(
    !found.blank.some((bound, at) => at % 2 === 0 && bound <= physical && (found.blank[at + 1] ?? 0) > physical),
  );
});

test('hostile memory is scrubbed as far as it goes, and never hangs', () => {
  const random = new Random(4);
  const memory = new PatchedMemory(container.memory);
  const torn = selectKernel(openKernels(openMachine({ ...container, memory })));
  for (let round = 0; round < 6; round++) {
    for (let count = 0; count < 100; count++) {
      const pfn = random.below(memory.describedBytes() / memory.pageSize);
      const page = memory.page(pfn as Pfn);
      if (typeof page === 'string') continue;
      const bytes = page.slice();
      random.mutate(bytes, 64);
      memory.patch(pfn, bytes);
    }
    const found = scrubUser(torn);
    assert.ok(found.list.length > 5 && found.damage.length < 1000);
  }
});
