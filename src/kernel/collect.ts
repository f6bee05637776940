import { type Damage, damageOf, ExhumeError } from '../bytes/errors.js';

/** Runs a step; where it meets damage, that is noted under `part` and there is no result. Damage is noted once. */
export function attempt<T>(damage: Damage[], part: string, step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    const found = damageOf(part, error);
    if (!damage.some((known) => known.part === found.part && known.message === found.message)) damage.push(found);
    return undefined;
  }
}

/** What a walk yields up to where it breaks off; the break is noted under `part`. */
export function collect<T>(damage: Damage[], part: string, items: Iterable<T>, most = Number.POSITIVE_INFINITY): T[] {
  const all: T[] = [];
  attempt(damage, part, () => {
    for (const item of items) {
      if (all.length >= most) throw new ExhumeError('EXH_BAD_STRUCTURE', `there are more than ${most}: not followed`);
      all.push(item);
    }
  });
  return all;
}

/** What each element of a walk turns into; an element that cannot be read is left out, and noted. */
export function collectEach<T, R>(
  damage: Damage[],
  part: string,
  items: Iterable<T>,
  turn: (item: T) => R | undefined,
  most = Number.POSITIVE_INFINITY,
): R[] {
  const all: R[] = [];
  for (const item of collect(damage, part, items, most)) {
    const turned = attempt(damage, part, () => turn(item));
    if (turned !== undefined) all.push(turned);
  }
  return all;
}
