import { hex } from '../bytes/address.js';
import type { BuiltHandover } from '../handover/build/build.js';
import type { KernelFtrace } from '../trace/handover/kernel-rings.js';
import { areaReport } from './kho.js';
import type { KhoBuiltReport } from './schema/kho-built.js';
import { damageReport } from './words.js';

/** Files that were written; undefined: not asked for. */
export interface KhoBuiltFiles {
  readonly output: string | undefined;
  readonly tree: string | undefined;
  readonly directory: string | undefined;
}

/** The trace that was handed over. */
export type BuiltTrace = Pick<KernelFtrace, 'cpus' | 'damage'>;

/** What was built, and what is wrong with it. */
export function reportBuilt(
  built: BuiltHandover,
  { output, tree, directory }: KhoBuiltFiles,
  trace?: BuiltTrace,
): KhoBuiltReport {
  const damage = trace?.damage ?? [];
  return {
    schema: 'exhume-kho-built/1',
    complete: damage.length === 0,
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
    trace: trace === undefined ? null : trace.cpus.map(({ cpu, kept, lost }) => ({ cpu, events: kept, lost })),
    damage: damage.map(damageReport),
  };
}
