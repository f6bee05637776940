import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';

/** Lets the event loop turn until something has happened. */
export async function until(happened: () => boolean): Promise<void> {
  for (let turns = 0; !happened(); turns++) {
    assert.ok(turns < 1_000_000, 'it never happens');
    await turn();
  }
}
