import type { CrashKind } from '../log/crash-signs.js';
import { type Frame, sourceName } from './frame.js';
import { noiseOf, type StackUse } from './noise.js';
import { sha256 } from './sha256.js';

/** What a crash is known by: the same for the same crash on another machine, in another build, wherever KASLR put it. */
export interface Signature {
  /** Of the rules. A change of them that would change a signature is a new version; docs/signature.md has the promise. */
  readonly version: 1;
  /** `exh1:` and 20 hexadecimal digits. */
  readonly id: string;
  /** For people: `bad access in uptime_proc_show, called by seq_show`. */
  readonly title: string;
  /** The first line of what is hashed: kinds that one bug may end in are one group. */
  readonly group: string;
  /** The further lines: functions, innermost first, with ` [module]`. */
  readonly frames: readonly string[];
  /** The line that stands for the functions where there are none to go by; numbers in it are `N`. */
  readonly message: string | undefined;
  /** Frames that were looked at and left out, in their order. */
  readonly dropped: readonly DroppedFrame[];
  /** How many frames further out were not needed. */
  readonly further: number;
}

export interface DroppedFrame {
  readonly frame: string;
  readonly why: string;
}

/** What a signature is made of. */
export interface SignatureInput {
  readonly kind: CrashKind;
  /** Innermost first; where it happened is the first one. */
  readonly frames: readonly Frame[];
  /** The words of the panic or of the event; used where no function says anything. */
  readonly message: string | undefined;
}

/** So many functions: where it happened, and two that called it. More would tell builds apart, fewer would mix up crashes. */
const DEPTH = 3;
/** A recursion is what comes round so often. */
const ROUNDS = 3;

interface Grouping {
  readonly group: string;
  /** In the title. */
  readonly words: string;
  /** What tells one crash of the group from another. */
  readonly by: 'frames' | 'message' | 'nothing';
  readonly use?: StackUse;
}

const byFrames = (group: string, words: string, use: StackUse = 'crash'): Grouping => ({
  group,
  words,
  by: 'frames',
  use,
});

/** How kinds are grouped; docs/signature.md says why. */
export const GROUPING: Readonly<Record<CrashKind, Grouping>> = {
  // One wild pointer is a page fault or a general protection fault by the luck of what is in it.
  'page-fault': byFrames('bad-access', 'bad access'),
  'general-protection': byFrames('bad-access', 'bad access'),
  bug: byFrames('bug', 'BUG'),
  exception: byFrames('exception', 'exception'),
  // A double fault is what a stack overflow was called before 4.14's guard pages.
  'double-fault': byFrames('stack-overflow', 'stack overflow'),
  'stack-overflow': byFrames('stack-overflow', 'stack overflow'),
  corruption: byFrames('corruption', 'corruption'),
  sanitizer: byFrames('sanitizer', 'sanitizer report'),
  warning: byFrames('warning', 'warning'),
  'atomic-sleep': byFrames('atomic-sleep', 'sleep in atomic context'),
  'soft-lockup': byFrames('lockup', 'lockup', 'spins'),
  'hard-lockup': byFrames('lockup', 'lockup', 'spins'),
  'rcu-stall': byFrames('lockup', 'lockup', 'spins'),
  'workqueue-lockup': byFrames('workqueue-lockup', 'workqueue lockup', 'spins'),
  'hung-task': byFrames('hung-task', 'hung task', 'waits'),
  sysrq: byFrames('sysrq', 'crash on request'),
  panic: byFrames('panic', 'panic'),
  'init-died': { group: 'init-died', words: 'init died', by: 'message' },
  // Who asked for the page that was not there is not who took the memory; what ran when hardware failed did not fail.
  'out-of-memory': { group: 'out-of-memory', words: 'out of memory', by: 'nothing' },
  'machine-check': { group: 'machine-check', words: 'machine check', by: 'nothing' },
  nmi: { group: 'nmi', words: 'NMI', by: 'nothing' },
  'no-root': { group: 'no-root', words: 'no root file system', by: 'nothing' },
};

/** Derives the signature of a crash. Undefined where neither functions nor words tell it from any other crash. */
export function signatureOf({ kind, frames, message }: SignatureInput): Signature | undefined {
  const { group, words, by, use = 'crash' } = GROUPING[kind];
  const kept: string[] = [];
  const dropped: DroppedFrame[] = [];
  let further = 0;
  if (by === 'frames') {
    const meaning = meaningful(frames, use, dropped);
    const chosen = (kind === 'stack-overflow' && recursion(meaning)) || unrepeated(meaning);
    kept.push(...chosen.slice(0, DEPTH));
    further = chosen.length - kept.length;
  } else {
    const why = by === 'nothing' ? `says nothing about ${words}` : 'the message says more';
    dropped.push(...frames.filter(({ reliable }) => reliable).map((frame) => ({ frame: shown(frame), why })));
  }
  const text = by === 'nothing' || kept.length > 0 ? undefined : normalMessage(message);
  if (by !== 'nothing' && kept.length === 0 && text === undefined) return undefined;
  const hashed = ['exh1', group, ...(text === undefined ? kept : [text])].join('\n');
  return {
    version: 1,
    id: `exh1:${sha256(hashed).slice(0, 20)}`,
    title: `${words}${titleOf(kept, text)}`,
    group,
    frames: kept,
    message: text,
    dropped,
    further,
  };
}

function titleOf([first, ...callers]: readonly string[], message: string | undefined): string {
  if (message !== undefined) return `: ${message}`;
  if (first === undefined) return '';
  return ` in ${first}${callers.length === 0 ? '' : `, called by ${callers.join(', ')}`}`;
}

/** The frames that say something, as they are hashed; notes why the others do not. */
function meaningful(frames: readonly Frame[], use: StackUse, dropped: DroppedFrame[]): string[] {
  const kept: string[] = [];
  const interrupting = interruptingStack(frames);
  let below = false;
  for (const frame of frames) {
    below ||= interrupting !== undefined && frame.stack === undefined;
    const why = !frame.reliable
      ? 'may be left over on the stack'
      : below && use === 'crash' && kept.length > 0
        ? 'was interrupted by it'
        : use === 'spins' && !below && interrupting !== undefined
          ? 'the interrupt that looked'
          : noiseOf(frame, sourceName(frame.name), use, kept.length === 0);
    if (why === undefined) kept.push(shown(frame));
    else dropped.push({ frame: frame.module === undefined ? frame.name : `${frame.name} [${frame.module}]`, why });
  }
  return kept;
}

/** The stack of an interrupt or NMI that the trace begins on, when it goes on to the task's own. */
function interruptingStack(frames: readonly Frame[]): string | undefined {
  const first = frames.find(({ reliable }) => reliable)?.stack;
  const interrupts = first !== undefined && /^(?:IRQ|SOFTIRQ|NMI)$/i.test(first);
  return interrupts && frames.some(({ stack }) => stack === undefined) ? first : undefined;
}

function shown(frame: Frame): string {
  const name = sourceName(frame.name);
  return frame.module === undefined ? name : `${name} [${frame.module}]`;
}

/** The functions of a recursion, by name: at which of them the stack ended is chance. Undefined where nothing comes round. */
function recursion(frames: readonly string[]): string[] | undefined {
  const counts = new Map<string, number>();
  for (const frame of frames) counts.set(frame, (counts.get(frame) ?? 0) + 1);
  const round = [...counts].filter(([, count]) => count >= ROUNDS).map(([frame]) => frame);
  return round.length === 0 ? undefined : round.sort();
}

/** Each function once: how deep a recursion was is chance. */
function unrepeated(frames: readonly string[]): string[] {
  return [...new Set(frames)];
}

/** Numbers, addresses and line numbers differ from one machine to the next; nothing is left of a message: undefined. */
function normalMessage(message: string | undefined): string | undefined {
  const normal = (message ?? '')
    .replace(/\b(?!exitcode)(0x)?[0-9a-f]{6,}\b/gi, (word) => (/\d/.test(word) ? 'N' : word))
    .replace(/\b0x[0-9a-f]+\b/gi, 'N')
    .replace(/\d+/g, 'N')
    .replace(/\s+/g, ' ')
    .trim();
  return normal === '' ? undefined : normal;
}
