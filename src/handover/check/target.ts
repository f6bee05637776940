import type { FtraceTarget } from '../ftrace/check.js';
import type { Handover, HandoverUser } from '../model.js';
import { FREED_LUO } from '../upstream/luo.js';
import { sizeText } from '../words.js';
import { type Finding, finding } from './finding.js';

/** The kernel that is to take a handover, as far as its dump or its own tree tells. */
export interface Target {
  /** Its release; undefined: told by its handovers, if by any. */
  readonly release: string | undefined;
  /** False: it is a kernel without kexec handover. */
  readonly takesHandovers: boolean;
  /** Its own: a kernel takes the version that it writes. */
  readonly handovers: readonly Handover[];
  /** Of its image in memory (`_text` to `_end`), in bytes; undefined: not told. */
  readonly imageSize?: number | undefined;
  /** What decides whether it can take over a trace; absent: not told. */
  readonly ftrace?: FtraceTarget | undefined;
}

/** Whether a kernel takes this handover. */
export function* checkTarget(handover: Handover, target: Target): Generator<Finding> {
  if (!target.takesHandovers) {
    yield finding('refused', 'target', 'the tree', 'the target is a kernel without kexec handover');
    return;
  }
  const room = Math.max(0, ...handover.scratch.map(({ size }) => size));
  if (room > 0 && target.imageSize !== undefined && room < target.imageSize) {
    const needed = sizeText(target.imageSize);
    yield finding(
      'refused',
      'scratch',
      'scratch memory',
      `no area has room for the target's image, ${needed}: kexec fails`,
    );
  }
  const own = ownHandover(target.handovers);
  if (own === undefined) {
    yield finding('note', 'target', 'the tree', 'nothing in the target tells which version it takes');
  } else if (own.compatible !== handover.compatible || own.series !== handover.series) {
    yield finding(
      'refused',
      'version',
      'the tree',
      `is ${versionOf(handover)}, and the target takes ${versionOf(own)} alone`,
    );
  } else {
    yield* checkForms(handover.users, own.users);
  }
  const written = releaseIn(handover);
  const release = target.release ?? (own?.direction === 'incoming' ? undefined : releaseIn(own));
  if (written !== undefined && release !== undefined && written !== release) {
    yield finding('note', 'release', 'kexec-metadata', `written by ${written}, and the target is ${release}`);
  }
}

/** What it writes itself tells most; what it was given may be of another version, and was refused then. */
function ownHandover(handovers: readonly Handover[]): Handover | undefined {
  return (
    handovers.find(({ direction }) => direction === 'outgoing') ??
    handovers.find(({ direction }) => direction === 'incoming') ??
    handovers[0]
  );
}

/** Users' descriptions have versions of their own. */
function* checkForms(users: readonly HandoverUser[], known: readonly HandoverUser[]): Generator<Finding> {
  for (const { name, format } of users) {
    const other = known.find((one) => one.name === name)?.format;
    if (other === undefined || other === format || UNTOLD.has(other) || UNTOLD.has(format)) continue;
    yield finding('refused', 'version', name, `is a ${format}, and the target's own is a ${other}`);
  }
}

/** Formats of descriptions that say nothing. */
const UNTOLD = new Set(['not there', 'not known', FREED_LUO]);

function versionOf({ compatible, series }: Handover): string {
  return series === '2023' ? `${compatible} of the series of 2023/24` : compatible;
}

/** The release of the kernel that wrote a handover. */
function releaseIn(handover: Handover | undefined): string | undefined {
  const metadata = handover?.users.find(({ name }) => name === 'kexec-metadata');
  return metadata?.content?.values.find(({ name }) => name === 'previous_release')?.value;
}
