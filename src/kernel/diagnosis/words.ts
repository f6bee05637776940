import type { CrashKind } from '../log/crash-signs.js';
import type { Signature } from './signature.js';

/** What is known of an end, for telling it in words. */
export interface EndFacts {
  readonly kind: CrashKind;
  /** The event in one line, as the log tells it. */
  readonly title: string | undefined;
  readonly panicMessage: string | undefined;
  /** The function where it happened: `uptime_proc_show`, with ` [module]`. */
  readonly where: string | undefined;
  /** Who called it. */
  readonly callers: readonly string[];
  /** The instruction pointer was no address of code. */
  readonly jumped: boolean;
  readonly cpu: number | undefined;
  readonly pid: number | undefined;
  readonly comm: string | undefined;
  readonly signature: Signature | undefined;
}

type Teller = (facts: EndFacts) => string;

const place = ({ where, callers }: EndFacts): string => {
  if (where === undefined) return '';
  return callers.length === 0 ? ` in ${where}` : ` in ${where}, called by ${callers.join(', ')}`;
};
const task = ({ comm, pid }: EndFacts, otherwise: string): string =>
  comm === undefined ? otherwise : pid === undefined ? comm : `${comm} (pid ${pid})`;
const cpu = (facts: EndFacts): string => (facts.cpu === undefined ? 'a CPU' : `CPU ${facts.cpu}`);
/** What a title says before where it happened. */
const bare = ({ title }: EndFacts): string => (title ?? '').replace(/ in \S+\+0x\S+(?: \[\S+\])?$/, '');
const found = (facts: EndFacts, pattern: RegExp): string | undefined => pattern.exec(facts.title ?? '')?.[1];

/** Each kind of end as a sentence. */
const TELLERS: Readonly<Record<CrashKind, Teller>> = {
  panic: (facts) => `the kernel gave up: ${facts.panicMessage ?? facts.title ?? 'it panicked'}${place(facts)}`,
  sysrq: (facts) => `someone asked for it: the crash was triggered by sysrq, while ${task(facts, 'a task')} ran`,
  'page-fault': (facts) => {
    const address = found(facts, / at (0x[0-9a-f]+)/);
    if (facts.jumped && /^NULL pointer/.test(facts.title ?? ''))
      return `a function pointer was called that was NULL${place(facts)}`;
    if (/^NULL pointer/.test(facts.title ?? ''))
      return `a NULL pointer was used${address === undefined ? '' : ` (at offset ${address})`}${place(facts)}`;
    if (/jumped to/.test(facts.title ?? ''))
      return `${bare(facts)}: a function pointer did not hold a function${place(facts)}`;
    return `an address was used that is not mapped${address === undefined ? '' : ` (${address})`}${place(facts)}`;
  },
  'general-protection': (facts) => {
    const address = found(facts, /address (0x[0-9a-f]+)/);
    const what =
      address === undefined ? 'a general protection fault' : `${address} was used as an address, which it cannot be,`;
    return `${what}${place(facts)}: memory that was overwritten, or used after it was freed, looks like this`;
  },
  bug: (facts) => {
    const line = found(facts, /^kernel BUG at (\S+)/);
    return `a check of the kernel's own failed${line === undefined ? '' : ` at ${line}`}${place(facts)}`;
  },
  exception: (facts) => `the processor refused to go on: ${bare(facts) || 'an exception'}${place(facts)}`,
  'double-fault': (facts) =>
    `a fault could not be handled for another one (double fault)${place(facts)}; a kernel stack that overflowed looks like this, too`,
  'stack-overflow': (facts) => {
    const round = facts.signature?.group === 'stack-overflow' ? facts.signature.frames : [];
    return `the kernel stack overflowed${round.length === 0 ? place(facts) : `; what recurs on it: ${round.join(', ')}`}`;
  },
  corruption: (facts) =>
    `memory was found damaged: ${bare(facts) || facts.panicMessage || 'no words for it'}; found${place(facts)}`.replace(
      /; found$/,
      '',
    ),
  sanitizer: (facts) => `a sanitizer found a bug${bare(facts) === '' ? '' : `: ${bare(facts)}`}${place(facts)}`,
  warning: (facts) => {
    const line = found(facts, /^warning at (\S+)/);
    return `a warning${line === undefined ? '' : ` at ${line}`}${place(facts)}, and the kernel was told to panic on warnings`;
  },
  'atomic-sleep': (facts) =>
    `code slept where it must not${bare(facts) === '' ? '' : `: ${bare(facts)}`}${place(facts)}`,
  'soft-lockup': (facts) => {
    const time = found(facts, /stuck for (\d+)s/);
    const long = time === undefined ? 'without an end' : `for ${time} s`;
    return `${cpu(facts)} ran ${task(facts, 'one task')} in the kernel ${long} and let nothing else run${place(facts).replace(/^ in/, ': it was in')}`;
  },
  'hard-lockup': (facts) => `${cpu(facts)} took no interrupts any more${place(facts)}`,
  'workqueue-lockup': (facts) => `a workqueue made no progress${place(facts)}`,
  'hung-task': (facts) => {
    const time = found(facts, /more than (\d+) seconds/);
    return `task ${task(facts, 'of unknown name')} waited for something that did not come${time === undefined ? '' : `, for more than ${time} s`}${place(facts)}`;
  },
  'rcu-stall': (facts) =>
    `a CPU or task held up RCU (${bare(facts).replace(/^RCU stall: /, '') || 'stall'})${place(facts)}`,
  'out-of-memory': (facts) =>
    `memory ran out${facts.comm === undefined ? '' : ` as ${task(facts, '')} asked for some`}, and the kernel was told to panic then or had nothing to kill`,
  'machine-check': (facts) =>
    `the hardware reported an error that it could not correct: ${facts.title ?? facts.panicMessage ?? 'machine check'}`,
  nmi: (facts) => `a non-maskable interrupt came that nobody expected: ${facts.title ?? 'NMI'}`,
  'init-died': (facts) =>
    `the first process, ${task(facts, 'init')}, ended, and no kernel goes on without it: ${facts.panicMessage ?? facts.title ?? ''}`.replace(
      /: $/,
      '',
    ),
  'no-root': (facts) =>
    `it did not find its root file system, or no init on it: ${facts.panicMessage ?? facts.title ?? ''}`.replace(
      /: $/,
      '',
    ),
};

/** The end in words, without a full stop. */
export function endInWords(facts: EndFacts): string {
  return TELLERS[facts.kind](facts);
}
