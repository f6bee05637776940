import assert from 'node:assert/strict';
import { env } from 'node:process';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildHandover } from '../build/build.js';
import { PAGE } from '../source-reader.js';
import { FrameMemory, framesOf, type Run } from './testing/frames.js';
import { runs } from './testing/property-runs.js';
import { upstreamCommands } from './testing/upstream-commands.js';
import { UPSTREAM_FORMATS, UpstreamKernel } from './testing/upstream-kernel.js';
import { RAM, SCRATCH, World } from './testing/world.js';

for (const format of UPSTREAM_FORMATS) {
  test(`${format}: whatever kernels and users do in turn, the map is exact, nothing is overwritten, nothing leaks`, () => {
    fc.assert(
      fc.property(upstreamCommands(format !== 'kho-v4'), (commands) => {
        const world = new World(format);
        fc.modelRun(() => ({ model: {}, real: world }), commands);
        world.audit();
      }),
      runs(80, env),
    );
  });

  test(`${format}: any sequence of preserve and unpreserve leaves the map of what is preserved`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ pfn: within, count: fc.integer({ min: 1, max: 70 }) }), { maxLength: 60 }),
        (asked) => {
          const kernel = UpstreamKernel.coldBoot(new FrameMemory(RAM), format, SCRATCH);
          const before = keptFrames(kernel);
          const kept = new Map<string, Run>();
          for (const run of asked) {
            const name = `${run.pfn} ${run.count}`;
            if (kept.delete(name)) kernel.unpreservePages(run);
            else if ([...kept.values()].every((one) => apart(one, run)) && kernel.preservePages(run) === undefined) {
              kept.set(name, run);
            }
          }
          const expected = new Set(before);
          for (const run of kept.values()) for (const frame of framesOf(run)) expected.add(frame);
          assert.deepEqual([...keptFrames(kernel)].sort(ascending), [...expected].sort(ascending));
          assert.equal(kernel.warnings, 0);
        },
      ),
      runs(250, env),
    );
  });
}

/** Few places, so that runs come back, touch and overlap. */
const within = fc.integer({ min: 0, max: 40 }).map((step) => 0x600 + step * 9);

const ascending = (a: number, b: number): number => a - b;

function apart(one: Run, other: Run): boolean {
  return one.pfn + one.count <= other.pfn || other.pfn + other.count <= one.pfn;
}

/** Frames that the map names, each once. */
function keptFrames(kernel: UpstreamKernel): Set<number> {
  if (kernel.listed) kernel.finalize();
  const frames = new Set<number>();
  for (const { address, size } of kernel.outgoing().preserved?.blocks ?? []) {
    for (const frame of framesOf({ pfn: address / PAGE, count: size / PAGE })) {
      assert.ok(!frames.has(frame));
      frames.add(frame);
    }
  }
  if (kernel.listed) kernel.abort();
  return frames;
}

for (const format of ['kho-v4', 'kho-v1'] as const) {
  test(`${format}: what a kernel hands over is what is built of its description, byte for byte`, () => {
    const run = fc.record({ pfn: within, count: fc.integer({ min: 1, max: 40 }) });
    fc.assert(
      fc.property(fc.array(run, { maxLength: 12 }), (asked) => {
        const kernel = UpstreamKernel.coldBoot(new FrameMemory(RAM), format, SCRATCH);
        const kept: Run[] = [];
        for (const one of asked) {
          if (kept.every((other) => apart(one, other)) && kernel.preservePages(one) === undefined) kept.push(one);
        }
        if (kernel.listed) kernel.finalize();
        const { users, preserved } = kernel.outgoing();
        const metadata = users[0]?.blob?.address ?? assert.fail();
        const own = (preserved?.own ?? []).map(({ address }) => address);
        // Of a list each chunk with its one bitmap; of a tree the pages as they were made.
        const pages = kernel.listed
          ? [...own.filter((_, index) => index % 2 === 0), ...own.filter((_, index) => index % 2 === 1)]
          : [...kernel.record.frames()].map((pfn) => pfn * PAGE);
        const built = buildHandover(
          {
            version: kernel.listed ? 'kho-v1' : 'kho-v4',
            layout: 'packed',
            address: kernel.tree,
            map: { pages },
            users: [{ address: metadata, kexecMetadata: { release: '7.2.12', count: 1 } }],
            memory: kept.map(({ pfn, count }) => ({ address: pfn * PAGE, size: count * PAGE })),
          },
          () => assert.fail(),
        );
        for (const address of [kernel.tree, metadata, ...pages]) {
          assert.deepEqual(built.image.bytes(address, PAGE), kernel.memory.bytes(address, PAGE));
        }
      }),
      runs(20, env),
    );
  });
}

test('what was given is not given again, and a part of a block is not given at all', () => {
  for (const format of UPSTREAM_FORMATS) {
    const world = new World(format);
    const item = world.make('folio', 1, 3, 0.6) ?? assert.fail();
    const pfn = item.pieces[0]?.pfn ?? 0;
    world.preserve(item);
    if (world.kernel.listed) world.kernel.finalize();
    assert.ok(world.kexec([], ['leave']));
    assert.equal(world.kernel.restoreFolio(pfn + 4, 'first'), undefined);
    assert.equal(world.kernel.restorePages({ pfn: pfn + 4, count: 4 }, 'first'), false);
    assert.equal(world.kernel.restoreFolio(pfn, 'first')?.count, 8);
    assert.equal(world.kernel.restoreFolio(pfn, 'second'), undefined);
  }
});

test('each kernel counts one more kexec, has the scratch areas of the first, and nothing of the one before the last', () => {
  for (const format of UPSTREAM_FORMATS) {
    const world = new World(format);
    for (let generation = 1; generation <= 4; generation++) {
      const item = world.make('pages', 7, 0, 0.6) ?? assert.fail();
      assert.equal(world.preserve(item), undefined);
      assert.equal(world.publish('a', [item]), undefined);
      if (world.kernel.listed) world.kernel.finalize();
      const reserved = world.unclaimed.size;
      assert.ok(world.kexec([2, 3], ['leave']));
      world.auditOwners();
      assert.deepEqual(world.kernel.frames.scratch, SCRATCH);
      const metadata = world.kernel.incoming?.users.find(({ name }) => name === 'kexec-metadata');
      const count = metadata?.content?.values.find(({ name }) => name === 'kexec_count')?.value;
      assert.equal(count, String(generation));
      // What nobody claims is reserved as long as this kernel runs, and no longer.
      assert.equal(world.unclaimed.size, 7);
      assert.equal(reserved, generation === 1 ? 0 : 7);
    }
  }
});

test('a user that aborts after finalize finds everything as it was', () => {
  const world = new World('kho-v1');
  const item = world.make('vmalloc', 5, 1, 0.3) ?? assert.fail();
  world.preserve(item);
  const before = new Map(world.kernel.frames.owners);
  assert.equal(world.kernel.finalize(), undefined);
  assert.equal(world.unpreserve(item), 'EBUSY');
  assert.equal(world.kernel.abort(), undefined);
  assert.deepEqual(world.kernel.frames.owners, before);
  assert.equal(world.kernel.abort(), 'ENOENT');
  assert.equal(world.unpreserve(item), undefined);
  world.auditOwners();
});
