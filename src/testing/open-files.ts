import { readdirSync, readlinkSync } from 'node:fs';
import { until } from './until.js';

/** What this process has open apart from what Node opens and closes in its own time: one line a descriptor. */
export function openFiles(): string[] {
  return readdirSync('/proc/self/fd')
    .map((descriptor) => {
      try {
        return readlinkSync(`/proc/self/fd/${descriptor}`);
      } catch {
        return '';
      }
    })
    .filter((target) => /^(?:socket:|\/memfd:|anon_inode:\[eventfd\]|\/dev\/zero)/.test(target))
    .sort();
}

/** Waits until nothing is open any more but what was before: that may have been closed since. */
export async function untilClosed(before: readonly string[]): Promise<void> {
  const left = (): string[] => {
    const known = [...before];
    return openFiles().filter((file) => {
      const at = known.indexOf(file);
      if (at >= 0) known.splice(at, 1);
      return at < 0;
    });
  };
  await until(
    () => left().length === 0,
    () => `left open: ${left().join(', ')}`,
  );
}
