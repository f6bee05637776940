import { env } from 'node:process';
import { test } from 'node:test';
import fc from 'fast-check';
import { runs } from './testing/property-runs.js';
import { series2023Commands } from './testing/series-2023-commands.js';
import { World2023 } from './testing/world-2023.js';

test('the series of 2023/24: whatever kernels and users do in turn, what is named crosses, and nothing leaks', () => {
  fc.assert(
    fc.property(series2023Commands, (commands) => {
      fc.modelRun(() => ({ model: {}, real: new World2023() }), commands);
    }),
    runs(90, env),
  );
});
