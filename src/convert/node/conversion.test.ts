import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PageBitmap } from '../../dump/page-bitmap.js';
import { openSample } from '../../testing/sample.js';
import { describeDump } from '../describe.js';
import { EXCLUDED_CLASSES, UNKNOWN_CLASS } from '../exclusion.js';
import { type ConversionOptions, convert } from './conversion.js';
import { SingleCrew } from './crew.js';

const { container, kernel } = openSample();
const { memory } = container;
/** Of so many pages from the first on the class cannot be told; the next ones are free. */
const [UNKNOWN, FREE] = [100, 50];

/** What a conversion would leave out. */
async function leftOut(scrubbed: PageBitmap | undefined) {
  const classes = (first: number, into: Uint8Array): void => {
    into.fill(0);
    if (first !== 0) return;
    into.fill(UNKNOWN_CLASS, 0, UNKNOWN);
    into.fill(EXCLUDED_CLASSES.indexOf('free') + 1, UNKNOWN, UNKNOWN + FREE);
  };
  const options: ConversionOptions = {
    memory,
    verify: false,
    crew: new SingleCrew(memory),
    jobs: 1,
    exclusion: { zero: 'keep', classes, keep: undefined, scrubbed },
    memoryEnd: undefined,
    settings: { method: undefined, level: undefined, passThrough: false, blank: new Float64Array() },
    output: { name: 'nothing', format: 'kdump', compression: undefined, split: 1 },
    description: describeDump(container, kernel).description,
    dryRun: true,
    listener: () => {},
    signal: new AbortController().signal,
  };
  const { excluded, unknown } = (await convert(options)).pages;
  return [unknown, excluded.get('free'), excluded.get('scrubbed')];
}

test('pages whose class cannot be told are kept, but when data of users is to go', async () => {
  assert.deepEqual(await leftOut(undefined), [UNKNOWN, FREE, 0]);
  const scrubbed = PageBitmap.empty(1000);
  scrubbed.addRange(UNKNOWN + FREE, UNKNOWN + FREE + 7);
  assert.deepEqual(await leftOut(scrubbed), [0, FREE, UNKNOWN + 7]);
});
