import assert from 'node:assert/strict';
import { env } from 'node:process';
import { test } from 'node:test';
import fc from 'fast-check';
import { PAGE } from '../source-reader.js';
import { runs } from './testing/property-runs.js';
import { series2023Commands } from './testing/series-2023-commands.js';
import { memCache } from './testing/series-2023-kernel.js';
import { World2023 } from './testing/world-2023.js';

test('the series of 2023/24: whatever kernels and users do in turn, what is named crosses, and nothing leaks', () => {
  fc.assert(
    fc.property(series2023Commands, (commands) => {
      fc.modelRun(() => ({ model: {}, real: new World2023() }), commands);
    }),
    runs(90, env),
  );
});

test('the mem cache has each page of entries no larger than a page once, ascending, those that touch as one', () => {
  const entry = fc.record({ frame: fc.nat({ max: 40 }), offset: fc.nat({ max: 72 }), whole: fc.boolean() });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 60 }), (entries) => {
      const areas = entries.map(({ frame, offset, whole }) => ({
        address: frame * PAGE + (whole ? 0 : offset * 56),
        size: whole ? PAGE : 56,
      }));
      const frames = [...new Set(entries.map(({ frame }) => frame))].sort((a, b) => a - b);
      const expected = frames.flatMap((frame) => {
        if (frames.includes(frame - 1)) return [];
        let end = frame;
        while (frames.includes(end)) end++;
        return [{ address: frame * PAGE, size: (end - frame) * PAGE }];
      });
      assert.deepEqual(memCache(areas, { pfn: 100, count: 1 }), expected);
    }),
    runs(200, env),
  );
});

test('a kernel is not loaded that would lie where memory is that it is handed', () => {
  const world = new World2023();
  assert.ok(world.make('a', 4, 0.3));
  const ring = world.rings.get('a') ?? assert.fail();
  assert.ok(world.kernel.activate());
  assert.ok(world.kernel.load() !== undefined);
  world.kernel.deactivate();
  ring.pages.push({ pfn: world.kernel.scratch.pfn + 3, record: ring.pages[0]?.record ?? 0 });
  assert.ok(world.kernel.activate());
  assert.equal(world.kernel.load(), undefined);
});
