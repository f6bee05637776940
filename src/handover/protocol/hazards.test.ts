import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkHandover } from '../check/check.js';
import type { MemoryArea } from '../model.js';
import { PAGE } from '../source-reader.js';
import { u64 } from '../testing/build.js';
import { FrameMemory, framesOf } from './testing/frames.js';
import { type Image2023, memCache, OWNER_2023, Series2023Kernel } from './testing/series-2023-kernel.js';
import { OWNER, UpstreamKernel } from './testing/upstream-kernel.js';
import { RAM, SCRATCH, World } from './testing/world.js';
import { World2023 } from './testing/world-2023.js';

/** What real kernels do, as their sources have it: docs/formats/kho.md tells where. */

test('reserve_mem that a kernel did not find in its handover lies in scratch memory, and is lost with the next kexec', () => {
  const world = new World('kho-v4');
  assert.ok(world.kexec([], ['restore']));
  // Asked for before the map is read, as memblock serves it then.
  const again = UpstreamKernel.afterKexec(world.memory, 'kho-v4', world.kernel.load() ?? assert.fail(), []);
  const pfn = again.early(2, 'reserve_mem trace') ?? assert.fail();
  assert.ok(again.frames.inScratch(pfn));
  assert.equal(again.preservePages({ pfn, count: 2 }), 'EINVAL');
  again.debug = false;
  assert.equal(again.preservePages({ pfn, count: 2 }), undefined);
  assert.deepEqual(
    checkHandover(again.outgoing(), world.memory, undefined).map(({ check, areas }) => [check, areas]),
    [['scratch', [{ address: pfn * PAGE, size: 2 * PAGE }]]],
  );
});

test('pages across two nodes are preserved as two blocks, and 7.2 restores the first alone and says that it is done', () => {
  const run = { pfn: 0x3f8, count: 8 };
  for (const asReleased of [false, true]) {
    const world = new World('kho-v4');
    world.kernel.frames.own(run, 'someone');
    assert.equal(world.kernel.preservePages(run), undefined);
    assert.ok(world.kexec([], ['restore']));
    world.kernel.asReleased = asReleased;
    assert.equal(world.kernel.restorePages(run, 'someone'), true);
    const given = [...framesOf(run)].filter((frame) => world.kernel.frames.owners.get(frame) === 'someone');
    assert.equal(given.length, asReleased ? 4 : 8);
  }
});

test('a vmalloc area of large pages whose preservation fails stays in the map of 7.2', () => {
  for (const asReleased of [false, true]) {
    const world = new World('kho-v4');
    world.kernel.asReleased = asReleased;
    const item = world.make('vmalloc', 2, 2, 0.3) ?? assert.fail();
    const inScratch = SCRATCH[1]?.pfn ?? 0;
    assert.equal(world.kernel.preserveVmalloc([...item.pieces.map(({ pfn }) => pfn), inScratch], 2), 'EINVAL');
    if (asReleased) assert.throws(() => world.audit(), /is in the map/);
    else world.audit();
  }
});

test('kho_init that fails behind a handover gives scratch areas back that are in use', () => {
  const { memory, kernel } = new World('kho-v4');
  const image = kernel.load() ?? assert.fail();
  assert.throws(() => UpstreamKernel.afterKexec(memory, 'kho-v4', image, [1], 1), /is freed by scratch areas/);
  // Cold it is no more than a kernel without handover.
  const cold = UpstreamKernel.coldBoot(new FrameMemory(RAM), 'kho-v4', SCRATCH, 1);
  assert.deepEqual([...new Set(cold.frames.owners.values())], [OWNER.scratchArray, OWNER.map]);
});

test('blocks for which memblock finds no room in scratch memory are handed out', () => {
  const lost = (early: readonly number[]): number => {
    const world = new World('kho-v4');
    for (let pfn = 0x500; pfn < 0x500 + 2 * 140; pfn += 2) {
      world.kernel.frames.own({ pfn, count: 1 }, 'someone');
      assert.equal(world.kernel.preserveFolio(pfn, 0), undefined);
    }
    const blocks = world.kernel.outgoing().preserved?.blocks ?? [];
    const image = world.kernel.load() ?? assert.fail();
    const next = UpstreamKernel.afterKexec(world.memory, 'kho-v4', image, early);
    return blocks.filter(({ address }) => !next.frames.owners.has(address / PAGE)).length;
  };
  assert.equal(lost([]), 0);
  assert.ok(lost(new Array<number>(200).fill(1)) > 0);
});

test('a kernel that has less memory than the one before, as with mem=, writes to pages that it has none of', () => {
  const { memory, kernel } = new World('kho-v4');
  kernel.record.add(0x10000, 0);
  assert.deepEqual(
    checkHandover(kernel.outgoing(), memory, undefined).map(({ severity, check }) => `${severity} ${check}`),
    ['lost ram'],
  );
  const image = kernel.load() ?? assert.fail();
  assert.throws(() => UpstreamKernel.afterKexec(memory, 'kho-v4', image, []), /there is no struct page/);
});

test('a page within a folio that is preserved by itself too is given twice: only the head of a block is marked as given', () => {
  const world = new World('kho-v4');
  const item = world.make('folio', 1, 2, 0.3) ?? assert.fail();
  const pfn = item.pieces[0]?.pfn ?? 0;
  world.preserve(item);
  world.kernel.preserveFolio(pfn + 2, 0);
  const image = world.kernel.load() ?? assert.fail();
  const next = UpstreamKernel.afterKexec(world.memory, 'kho-v4', image, []);
  assert.equal(next.restoreFolio(pfn, 'first')?.count, 4);
  assert.throws(() => next.restoreFolio(pfn + 2, 'second'), /is taken from/);
});

test('abort of 6.16 forgets what was preserved before finalize was asked for', () => {
  for (const forget of [false, true]) {
    const world = new World('kho-v1');
    const item = world.make('folio', 1, 3, 0.3) ?? assert.fail();
    world.preserve(item);
    world.kernel.finalize();
    world.kernel.abort(forget);
    world.kernel.finalize();
    if (forget) assert.throws(() => world.audit(), /is not in the map/);
    else world.audit();
  }
});

test('2023/24: the next kernel is told what was active when it was loaded, also what was given up since', () => {
  const world = new World2023();
  assert.ok(world.make('a', 4, 0.3));
  assert.ok(world.kernel.activate());
  const image = world.kernel.load() ?? assert.fail();
  world.kernel.deactivate();
  assert.ok(world.drop('a'));
  assert.throws(() => world.kexec([], ['restore'], image), /a had nothing/);
});

test('kho-v1: a tree that is loaded leads nowhere after abort', () => {
  const world = new World('kho-v1');
  world.kernel.finalize();
  assert.ok(world.kernel.load() !== undefined);
  world.kernel.abort();
  assert.equal(world.kernel.outgoing().preserved, undefined);
});

test('2023/24: the mem cache is read when its memory may be something else', () => {
  for (const asReleased of [false, true]) {
    const { memory, kernel, image } = handing('a');
    const boot = () => Series2023Kernel.afterKexec(memory, kernel.scratch, image, [], asReleased);
    if (asReleased) assert.throws(boot, /is freed once more than it was taken/);
    else boot();
  }
});

/** A world in which a ring is active, and a kernel loaded. */
function handing(name: string): { memory: FrameMemory; kernel: Series2023Kernel; image: Image2023 } {
  const world = new World2023();
  assert.ok(world.make(name, 4, 0.3));
  assert.ok(world.kernel.activate());
  return { memory: world.memory, kernel: world.kernel, image: world.kernel.load() ?? assert.fail() };
}

test('2023/24: an area over several entries of the mem cache is folded with one of them, and a page is freed that others have', () => {
  const area = (pfn: number, count: number) => ({ address: pfn * PAGE, size: count * PAGE });
  const scratch = { pfn: 0x1c0, count: 0x60 };
  const pages = [area(0x300, 1), area(0x302, 1), area(0x304, 1)];
  // One page at a time, as ftrace has them, all is well.
  assert.deepEqual(memCache([...pages, area(0x301, 1), area(0x303, 1)], scratch), [area(0x300, 5)]);
  assert.deepEqual(memCache([...pages, area(0x300, 5)], scratch), [area(0x300, 5), area(0x304, 1)]);

  const kernel = new Series2023Kernel(new FrameMemory(RAM), scratch);
  const names = (name: string, areas: readonly MemoryArea[]): void => {
    const value = u64(...areas.flatMap(({ address, size }) => [address, size]));
    kernel.users.set(name, {
      dump: () => ({ name, properties: [{ name: 'mem', value }], children: [] }),
      abort: () => undefined,
    });
  };
  names('pages', pages);
  names('all', [area(0x300, 5)]);
  assert.ok(kernel.activate());
  const next = Series2023Kernel.afterKexec(kernel.memory, scratch, kernel.load() ?? assert.fail(), []);
  next.returnMemory(area(0x300, 5));
  assert.equal(next.frames.owners.get(0x302), OWNER_2023.handed);
  assert.equal(next.frames.owners.get(0x304), undefined);
});
