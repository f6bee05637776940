import type { Parameters as FcParameters } from 'fast-check';

/**
 * How often a property is tried: seeded, so that what fails fails again. `EXHUME_PROPERTY_RUNS=20` tries twenty times as many,
 * and with `EXHUME_PROPERTY_SEED` others.
 */
export function runs(count: number, env: Readonly<Record<string, string | undefined>>): FcParameters<unknown> {
  const times = Number(env['EXHUME_PROPERTY_RUNS'] ?? 1);
  return { numRuns: Math.max(1, Math.round(count * times)), seed: Number(env['EXHUME_PROPERTY_SEED'] ?? 8) };
}
