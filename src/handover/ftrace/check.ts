import { type Finding, finding } from '../check/finding.js';
import type { Handover } from '../model.js';
import { PAGE } from '../source-reader.js';
import { type EventShape, fingerprintText, isStatic, matchEvents } from './fingerprint.js';
import { type EventNumber, type FtraceNodes, ftraceNodes } from './nodes.js';

/** What of the receiving kernel decides whether it can take over a trace. */
export interface FtraceTarget {
  /** All its kinds of events. */
  readonly events: readonly EventShape[];
  /** `__TRACE_LAST_TYPE`: the first number that is not the same in each kernel; undefined: not told. */
  readonly firstDynamic: number | undefined;
  /** `nr_cpu_ids` */
  readonly cpus: number;
  /** `sizeof(struct buffer_page)`; undefined: not told. */
  readonly descriptorSize: number | undefined;
}

/** Events and places that are named one by one. */
const MOST_NAMED = 8;

/** What of a trace in a handover of 2023/24 the receiving kernel would lose: its recovery in the series' mails. */
export function* checkFtrace(handover: Handover, target: FtraceTarget | undefined): Generator<Finding> {
  const nodes = ftraceNodes(handover);
  if (nodes === undefined) return;
  yield* checkPages(nodes);
  if (target === undefined) return;
  yield* checkRings(nodes, target);
  if (nodes.events !== undefined) yield* checkEvents(nodes.events, target);
}

/** A kernel takes each page for one of its own. */
function* checkPages({ arrays }: FtraceNodes): Generator<Finding> {
  for (const { path, pages } of arrays.flatMap(({ cpus }) => cpus)) {
    const wrong = pages.filter(({ page }) => page?.size !== PAGE).length;
    if (wrong > 0) {
      yield finding('lost', 'pages', path, `${wrong} of its pages are not of ${PAGE} bytes, as which they are taken`);
    }
  }
}

function* checkRings({ arrays }: FtraceNodes, { cpus, descriptorSize }: FtraceTarget): Generator<Finding> {
  for (const { cpu, path, pages } of arrays.flatMap((array) => array.cpus)) {
    if (cpu >= cpus) yield finding('lost', 'cpu', path, `the target has no CPU ${cpu}: it has ${cpus}`);
    const sizes = new Set(pages.map(({ descriptor }) => descriptor?.size));
    sizes.delete(descriptorSize);
    if (descriptorSize === undefined || sizes.size === 0) continue;
    const told = [...sizes].map((size) => size ?? 'no').join(' and ');
    const message = `struct buffer_page of ${told} bytes: the target's has ${descriptorSize}, and is taken for it`;
    yield finding('lost', 'descriptor', path, message);
  }
}

function* checkEvents(events: readonly EventNumber[], target: FtraceTarget): Generator<Finding> {
  const about = '/ftrace';
  const last = Math.max(0, ...events.filter(isStatic).map(({ id }) => id));
  if (target.firstDynamic !== undefined && last > 0 && last + 1 !== target.firstDynamic) {
    const fixed = target.firstDynamic - 1;
    yield finding(
      'lost',
      'events',
      about,
      `has ${last} kinds of events with fixed numbers, and the target ${fixed}: some are taken for others`,
    );
  }
  const { unmatched, ambiguous } = matchEvents(events, target.events);
  if (unmatched.length > 0) {
    const message = `${unmatched.length} of ${events.length} kinds of events are not those of the target, which cannot show them`;
    yield finding('lost', 'events', about, `${message}: ${namesOf(unmatched)}`);
  }
  if (ambiguous.length > 0) {
    const message = `${ambiguous.length} kinds of events have a fingerprint that others have, too: the target takes one for all`;
    yield finding('lost', 'events', about, `${message}: ${namesOf(ambiguous.map(({ number }) => number))}`);
  }
}

function namesOf(numbers: readonly EventNumber[]): string {
  const names = numbers
    .slice(0, MOST_NAMED)
    .map(({ fingerprint, name, id }) => `${fingerprint === undefined ? name : fingerprintText(fingerprint)} (${id})`);
  const more = numbers.length - names.length;
  return more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ');
}
