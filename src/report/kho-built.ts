import { hex } from '../bytes/address.js';
import type { BuiltHandover } from '../handover/build/build.js';
import { areaReport } from './kho.js';
import type { KhoBuiltReport } from './schema/kho-built.js';

/** Files that were written; undefined: not asked for. */
export interface KhoBuiltFiles {
  readonly output: string | undefined;
  readonly tree: string | undefined;
  readonly directory: string | undefined;
}

/** What was built, and what is wrong with it. */
export function reportBuilt(built: BuiltHandover, { output, tree, directory }: KhoBuiltFiles): KhoBuiltReport {
  return {
    schema: 'exhume-kho-built/1',
    complete: true,
    compatible: built.compatible,
    direction: built.direction,
    tree: { address: hex(built.address), size: built.tree.length },
    scratch: built.scratch.map(areaReport),
    preserved: {
      blocks: built.blocks.length,
      bytes: built.blocks.reduce((sum, { size }) => sum + size, 0),
    },
    users: built.blobs.map(({ name, ...area }) => ({ name, ...areaReport(area) })),
    present: built.image.presentBytes(),
    output: output ?? null,
    treeOutput: tree ?? null,
    directory: directory ?? null,
    warnings: built.warnings.map(({ path, message }) => ({ path, message })),
    damage: [],
  };
}
