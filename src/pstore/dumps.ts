import { concat } from '../bytes/concat.js';
import type { Damage } from '../bytes/errors.js';
import type { DumpHeader } from './dump-header.js';
import type { PstoreRecord } from './record.js';

/** The parts that a kernel wrote of its log at one moment: one oops, one panic. */
export interface Dump {
  readonly guest: string | undefined;
  readonly reason: string;
  readonly count: number;
  /** The records that hold it, the oldest lines first: the highest part. */
  readonly parts: readonly PstoreRecord[];
  /** Parts that are not there, below the highest one that is. */
  readonly missing: readonly number[];
  /** Without the first line of each part. */
  readonly text: Uint8Array;
  readonly damage: readonly Damage[];
}

type Part = PstoreRecord & { readonly header: DumpHeader };

/** Parts of one dump are written at once; what lies further apart belongs to another boot. */
const MOST_SECONDS = 300;

/**
 * Joins the parts of each dump. The kernel counts dumps from 1 in every boot. Where the store noted the boot, that tells
 * them apart; elsewhere a part goes to the last dump of its reason and count that still lacks it and was written at about
 * the same time. Records without the kernel's first line are left out.
 */
export function joinDumps(records: readonly PstoreRecord[]): Dump[] {
  const dumps: Part[][] = [];
  const latest = new Map<string, Part[]>();
  for (const record of [...records].sort(byId)) {
    const { header } = record;
    if (header === undefined) continue;
    const part: Part = { ...record, header };
    const key = `${record.guest ?? ''}/${record.backend ?? ''}/${header.reason}#${header.count}`;
    const open = latest.get(key);
    if (open !== undefined && takes(open, part)) {
      open.push(part);
      continue;
    }
    const begun = [part];
    dumps.push(begun);
    latest.set(key, begun);
  }
  return dumps.map(joined);
}

export function byId(a: PstoreRecord, b: PstoreRecord): number {
  const [left, right] = [a.guest ?? '', b.guest ?? ''];
  if (left !== right) return left < right ? -1 : 1;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

function takes(open: readonly Part[], part: Part): boolean {
  const near = open.every(({ time, boot }) => {
    if (boot !== undefined && part.boot !== undefined) return boot === part.boot;
    return time === undefined || part.time === undefined || Math.abs(time.seconds - part.time.seconds) <= MOST_SECONDS;
  });
  return near && open.every(({ header }) => header.part !== part.header.part);
}

function joined(found: Part[]): Dump {
  const parts = found.sort((a, b) => b.header.part - a.header.part);
  const [first] = parts as [Part, ...Part[]];
  const { reason, count } = first.header;
  const missing = gaps(parts.map(({ header }) => header.part));
  const damage = parts.flatMap((part) => part.damage);
  if (missing.length > 0) {
    damage.push({
      code: 'EXH_TRUNCATED',
      part: first.file,
      message: `${reason}#${count}: part ${missing.join(', ')} is not there, newer lines than those of ${first.file}`,
    });
  }
  const texts = parts.map(({ text, header }) => text.subarray(header.length));
  return { guest: first.guest, reason, count, parts, missing, text: concatenated(texts), damage };
}

/** At most so many are named: a number in a header may be anything. */
const MOST_GAPS = 16;

/** What lies between numbers in falling order and 1. */
function gaps(parts: readonly number[]): number[] {
  const missing: number[] = [];
  for (const [i, part] of parts.entries()) {
    const next = parts[i + 1] ?? 0;
    for (let lost = part - 1; lost > next && missing.length < MOST_GAPS; lost--) missing.push(lost);
  }
  return missing;
}

/** Each ends in a newline, which a part that was cut lacks. */
function concatenated(texts: readonly Uint8Array[]): Uint8Array {
  return concat(texts.flatMap((text) => (text.length > 0 && text.at(-1) !== NEWLINE[0] ? [text, NEWLINE] : [text])));
}

const NEWLINE = Uint8Array.of(10);
