import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';

/** Far longer than anything takes, also on machines with much else to do, in milliseconds. */
const PATIENCE = 120_000;

/** Lets the event loop turn until something has happened. @param what says what did not, when it never does */
export async function until(happened: () => boolean, what = () => 'it never happens'): Promise<void> {
  const started = performance.now();
  while (!happened()) {
    if (performance.now() - started > PATIENCE) assert.fail(what());
    await turn();
  }
}
