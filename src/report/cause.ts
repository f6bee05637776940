import { hex } from '../bytes/address.js';
import { type Frame, framesOfTrace, sourceName } from '../kernel/diagnosis/frame.js';
import { recognizeStack } from '../kernel/diagnosis/recognition.js';
import { GROUPING, type Signature, signatureOf } from '../kernel/diagnosis/signature.js';
import { endInWords } from '../kernel/diagnosis/words.js';
import type { Kernel } from '../kernel/kernel.js';
import type { CrashKind } from '../kernel/log/crash-signs.js';
import type { CrashText } from '../kernel/log/crash-text.js';
import type { Machine } from '../machine/machine.js';
import type { Hang } from './hang.js';
import type { Absence } from './schema/common.js';
import type { BlockedReport, CauseReport, MemoryReport, SignatureReport } from './schema/diagnosis.js';

/** Who can say why a kernel died. */
export interface Witnesses {
  readonly kernel: Pick<Kernel, 'role' | 'panicCpu' | 'crashTime'>;
  readonly machine: Machine | undefined;
  /** What its log tells; undefined where there is none. */
  readonly log: CrashText | undefined;
  /** The stack of the CPU on which it died, unwound; undefined where there is none. */
  readonly stack: readonly Frame[] | undefined;
  readonly cpu: number | undefined;
  /** Where a kernel that lives was stuck by its log: that CPU's stack at the moment of the dump. */
  readonly stuck: { readonly cpu: number; readonly stack: readonly Frame[] } | undefined;
  /** Where it comes from that tasks hang; undefined for any other end. */
  readonly hang: Hang | undefined;
  readonly blocked: BlockedReport | undefined;
  readonly memory: MemoryReport | undefined;
}

export type Diagnosis = Pick<Witnesses, 'log' | 'stack' | 'kernel' | 'hang'>;

/** What kind of end it was: as the log has it, else as the stack shows it; undefined when it did not end. */
export function kindOf({ log, stack, kernel }: Omit<Diagnosis, 'hang'>): CrashKind | undefined {
  if (log?.cause !== undefined) return log.cause.kind;
  if (kernel.role !== 'crashed') return undefined;
  return (stack === undefined ? undefined : recognizeStack(stack)?.kind) ?? 'panic';
}

/**
 * The signature, from the log's call trace when it has one, else from the stack of the CPU that died; of a hang, from
 * the stack of the task that it comes from.
 */
export function signatureReport(diagnosis: Diagnosis, absent: Absence | undefined): SignatureReport | Absence {
  const { log } = diagnosis;
  const kind = kindOf(diagnosis);
  if (kind === undefined) return NOT_DEAD;
  const { frames, source } = framesToGoBy(diagnosis, kind);
  const signature = signatureOf({ kind, frames, message: log?.panicMessage ?? log?.cause?.title });
  if (signature !== undefined) return { ...plain(signature), source };
  return absent ?? NOTHING_TO_GO_BY;
}

function framesToGoBy(
  { log, stack, hang }: Diagnosis,
  kind: CrashKind,
): Pick<SignatureReport, 'source'> & { readonly frames: readonly Frame[] } {
  if (kind === 'hung-task' && hang !== undefined && hang.task.frames.length > 0)
    return { frames: hang.task.frames, source: hang.source };
  const cause = log?.cause;
  const told = cause === undefined ? [] : framesOfTrace(cause.trace, whereOf(log), cause.module);
  return told.length > 0 || stack === undefined ? { frames: told, source: 'log' } : { frames: stack, source: 'stack' };
}

const NOT_DEAD: Absence = { absent: 'nothing says that it crashed', code: null, hint: null };
const NOTHING_TO_GO_BY: Absence = {
  absent: 'neither its log nor its stack shows a function that tells this crash from another',
  code: null,
  hint: null,
};

/** A panic's first instruction pointer is that of what was interrupted by it. */
function whereOf(log: CrashText | undefined): string | undefined {
  return log?.cause?.weight === 'panic' ? undefined : log?.cause?.rip;
}

function plain({
  version,
  id,
  title,
  group,
  frames,
  message,
  dropped,
  further,
}: Signature): Omit<SignatureReport, 'source'> {
  return {
    version,
    id,
    title,
    group,
    frames: [...frames],
    message: message ?? null,
    dropped: dropped.map((each) => ({ ...each })),
    further,
  };
}

/** Why it died, in words, and who says so. */
export function causeReport(witnesses: Witnesses, signature: SignatureReport | undefined): CauseReport {
  const { log, kernel } = witnesses;
  const kind = kindOf(witnesses);
  const hang = kind === 'hung-task' ? witnesses.hang : undefined;
  if (kind === undefined)
    return {
      kind: log === undefined ? 'unknown' : 'none',
      text: alive(witnesses),
      evidence: [...aliveEvidence(witnesses)],
    };
  const [where, ...callers] = GROUPING[kind].by === 'frames' ? (signature?.frames ?? []) : [];
  const facts = {
    kind,
    title: log?.cause?.title,
    panicMessage: log?.panicMessage,
    where:
      where ?? (GROUPING[kind].by === 'frames' ? whereOf(log)?.replace(/\+0x[0-9a-f]+\/0x[0-9a-f]+/, '') : undefined),
    callers,
    jumped: /^0x/.test(log?.cause?.rip ?? ''),
    cpu: log?.cause?.cpu ?? witnesses.cpu,
    pid: hang?.task.pid ?? log?.cause?.pid ?? log?.pid,
    comm: hang === undefined ? (log?.cause?.comm ?? log?.comm) : hang.task.comm,
    signature: signature === undefined ? undefined : { ...signature, message: signature.message ?? undefined },
  };
  const unsaid = log?.cause === undefined && kernel.role === 'crashed' && kind === 'panic';
  const text = unsaid ? 'it panicked, and neither its log nor its stack says why' : endInWords(facts);
  return { kind, text, evidence: [...evidence(witnesses, kind, where)] };
}

function alive({ blocked, log }: Witnesses): string {
  const what = log === undefined ? 'whether it crashed cannot be told' : 'nothing says that it crashed';
  const hung = longWaiters(blocked);
  return hung === 0 ? what : `${what}; ${tasksWaited(hung)}`;
}

function* evidence(
  witnesses: Witnesses,
  kind: CrashKind,
  where: string | undefined,
): Generator<CauseReport['evidence'][number]> {
  const { log, kernel, cpu, stack, stuck, hang, blocked, memory } = witnesses;
  const { cause, panic } = log ?? {};
  if (cause !== undefined) yield { source: 'log', text: cause.message, agrees: true };
  const oops = cause?.lines.find((line) => line !== cause.message && /^(?:Oops|#PF): /.test(line));
  if (oops !== undefined) yield { source: 'log', text: oops, agrees: true };
  if (panic !== undefined && panic !== cause) yield { source: 'log', text: panic.message, agrees: true };
  yield* registers(witnesses);
  if (stack !== undefined) {
    const sign = recognizeStack(stack);
    const on = cpu === undefined ? '' : ` of CPU ${cpu}`;
    if (sign !== undefined) {
      const agrees = agree(sign.kind, kind);
      yield { source: 'stack', text: `${sign.by} is on the stack${on}`, agrees };
    }
    if (where !== sign?.by && holds(stack, where)) {
      yield {
        source: 'stack',
        text: `${where} is on ${sign === undefined ? `the stack${on}` : 'it, too'}`,
        agrees: true,
      };
    }
  }
  if (stuck !== undefined && holds(stuck.stack, where)) {
    yield { source: 'stack', text: `${where} is still on the stack of CPU ${stuck.cpu}`, agrees: true };
  }
  if (kernel.panicCpu !== undefined) {
    const agrees = cpu === undefined || cpu === kernel.panicCpu;
    yield { source: 'variables', text: `panic_cpu is ${kernel.panicCpu}`, agrees };
  }
  if (kernel.crashTime !== undefined)
    yield { source: 'variables', text: 'VMCOREINFO has CRASHTIME: it panicked', agrees: true };
  if (kind === 'hung-task' && hang !== undefined && hang.waiters > 0)
    yield { source: hang.source, text: heldUp(hang), agrees: true };
  const hung = longWaiters(blocked);
  if (kind === 'hung-task' && blocked !== undefined && hung === 0) {
    const count = blocked.waiting === 1 ? '1 task was' : `${blocked.waiting || 'no'} tasks were`;
    yield { source: 'tasks', text: `${count} in D state`, agrees: blocked.waiting > 0 };
  } else if (hung > 0) {
    yield { source: 'tasks', text: tasksWaited(hung), agrees: true };
  }
  if (
    memory !== undefined &&
    (kind === 'out-of-memory' || memory.verdict === 'exhausted' || memory.verdict === 'low')
  ) {
    yield { source: 'memory', text: memory.text, agrees: kind !== 'out-of-memory' || memory.verdict !== 'enough' };
  }
}

/** Is a function, named as in a signature, on a stack? */
function holds(stack: readonly Frame[], where: string | undefined): boolean {
  return stack.some(({ name, module }) => {
    return where === (module === undefined ? sourceName(name) : `${sourceName(name)} [${module}]`);
  });
}

/** What a sign on the stack is found under: the particular kind that the log tells comes to the kernel as the general one. */
const GENERAL: Partial<Readonly<Record<CrashKind, readonly CrashKind[]>>> = {
  bug: ['corruption', 'sanitizer'],
  warning: ['corruption', 'sanitizer', 'atomic-sleep'],
  'page-fault': ['stack-overflow', 'double-fault', 'sysrq'],
  nmi: ['hard-lockup', 'machine-check'],
};

/** Does a sign on the stack bear a kind out, or at least not speak against it? */
function agree(sign: CrashKind, kind: CrashKind): boolean {
  const vague = sign === 'panic' || sign === 'exception' || sign === 'init-died';
  return vague || GROUPING[sign].group === GROUPING[kind].group || (GENERAL[sign] ?? []).includes(kind);
}

function* registers({ machine, log, cpu }: Witnesses): Generator<CauseReport['evidence'][number]> {
  const told = / at (0x[0-9a-f]+)/.exec(log?.cause?.title ?? '')?.[1];
  const found = machine?.cpus.find(({ index }) => index === cpu)?.control?.get('cr2');
  if (told === undefined || found === undefined || log?.cause?.cr2 !== BigInt(told)) return;
  // A later fault, of another task, may have come after it.
  if (found === BigInt(told))
    yield {
      source: 'registers',
      text: `CR2 of CPU ${cpu} still holds the address, ${hex(found)}`,
      agrees: true,
    };
}

function* aliveEvidence({ blocked, memory }: Witnesses): Generator<CauseReport['evidence'][number]> {
  const hung = longWaiters(blocked);
  if (hung > 0) yield { source: 'tasks', text: tasksWaited(hung), agrees: true };
  if (memory?.verdict === 'exhausted' || memory?.verdict === 'low')
    yield { source: 'memory', text: memory.text, agrees: true };
}

function longWaiters(blocked: BlockedReport | undefined): number {
  return (blocked?.groups ?? []).reduce((sum, { tasks }) => sum + tasks.length, blocked?.further ?? 0);
}

function heldUp({ task: { pid, comm }, waiters }: Hang): string {
  const count = waiters === 1 ? '1 other waits' : `${waiters} others wait`;
  return `${count} for a lock that ${comm === undefined ? `task ${pid}` : `${comm} (pid ${pid})`} holds`;
}

function tasksWaited(count: number): string {
  return `${count} ${count === 1 ? 'task was' : 'tasks were'} in D state for over 120 s`;
}
