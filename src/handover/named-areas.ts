import type { Handover, NamedArea } from './model.js';

/** Everything that somebody names, with the one who does: the tree, descriptions, and what these lead to. */
export function* namedAreas({ address, tree, users }: Handover): Generator<NamedArea> {
  if (address !== undefined) yield { address, size: tree.totalSize, what: 'the tree' };
  for (const { name, blob, areas } of users) {
    if (blob !== undefined) yield { address: blob.address, size: blob.size, what: name };
    yield* areas;
  }
}
