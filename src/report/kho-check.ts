import type { Damage } from '../bytes/errors.js';
import type { PhysicalMemory } from '../dump/memory.js';
import { checkHandover } from '../handover/check/check.js';
import type { Target } from '../handover/check/target.js';
import type { Handover } from '../handover/model.js';
import { areaReport, headReport } from './kho.js';
import type { KhoCheckReport } from './schema/kho-check.js';
import { damageReport } from './words.js';

/** Handovers, where they were found, and what they are to be taken by. */
export interface KhoCheckInput {
  readonly handovers: readonly Handover[];
  /** Undefined: only files are there. */
  readonly memory: PhysicalMemory | undefined;
  readonly target: Target | undefined;
  /** What of the source could not be had. */
  readonly damage: readonly Damage[];
  /** Of the kernel that is to take them; undefined: not told. */
  readonly commandLine?: string | undefined;
}

/** What the receiving kernel would refuse or lose. */
export function buildKhoCheck(input: KhoCheckInput): KhoCheckReport {
  const { handovers, memory, target, commandLine } = input;
  const checked = handovers.map((handover) => ({
    ...headReport(handover),
    findings: checkHandover(handover, memory, target, commandLine).map(({ areas, ...rest }) => ({
      ...rest,
      areas: areas.map(areaReport),
    })),
  }));
  const all = checked.flatMap(({ findings }) => findings);
  const damage = [...input.damage, ...handovers.flatMap((one) => one.damage)];
  return {
    schema: 'exhume-kho-check/1',
    complete: damage.length === 0,
    // No handover at all brings nothing over.
    passed: handovers.length > 0 && all.every(({ severity }) => severity === 'note'),
    handovers: checked,
    damage: damage.map(damageReport),
  };
}
