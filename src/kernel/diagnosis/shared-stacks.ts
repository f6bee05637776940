/** Things that have the same stack. */
export interface StackGroup<T> {
  /** In the order in which they came. */
  readonly members: readonly T[];
}

/**
 * Groups things by the functions on their stacks: the same functions called in the same order is one group, wherever in
 * them each one is. Largest group first, and among equal ones the one that came first.
 * @param functionsOf a thing's functions, innermost first; undefined puts it in a group of its own
 */
export function groupByStack<T>(
  things: readonly T[],
  functionsOf: (thing: T) => readonly string[] | undefined,
): StackGroup<T>[] {
  const groups = new Map<unknown, T[]>();
  for (const thing of things) {
    const functions = functionsOf(thing);
    const key = functions === undefined || functions.length === 0 ? thing : functions.join('\n');
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [thing]);
    else group.push(thing);
  }
  return [...groups.values()].map((members) => ({ members })).sort((a, b) => b.members.length - a.members.length);
}
