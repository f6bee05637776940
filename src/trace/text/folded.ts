import type { EventStream, Trace, TraceEvent } from '../model.js';
import { fieldReader } from '../print/fields.js';
import type { EventTest } from './filter.js';
import { commOf } from './line-front.js';

/** Different stacks that are counted; more of them are counted together. */
const MOST_STACKS = 1 << 18;
const OTHERS = '[other stacks]';
const ALL_ONES = 2n ** 64n - 1n;

/** What was last recorded on a CPU, for the stacks that follow it. */
interface Recorded {
  pid: number;
  name: string;
  wanted: boolean;
  /** Frames of the kernel's stack, innermost first, until it is known whether a user's stack follows. */
  kernel: string[] | undefined;
}

/**
 * The stacks of a trace (`stacktrace` triggers and options), counted, one a line as flame graphs are made of:
 * `comm;outermost;…;innermost;[event] count`. A user's stack that was recorded with a kernel's stands outside of it.
 * @param wanted of the events that the stacks belong to
 */
export function foldedStacks(trace: Trace, stream: EventStream, wanted: EventTest = () => true): readonly string[] {
  const kernelStack = stackReader(trace, 'kernel_stack');
  const userStack = stackReader(trace, 'user_stack');
  const counts = new Map<string, number>();
  const cpus = new Map<number, Recorded>();
  const count = (recorded: Recorded, user: readonly string[]): void => {
    const frames = [...user.toReversed(), ...(recorded.kernel ?? []).toReversed()];
    recorded.kernel = undefined;
    if (!recorded.wanted || frames.length === 0) return;
    const line = [commOf(trace, recorded.pid), ...frames, `[${recorded.name}]`].map(plain).join(';');
    const key = counts.size < MOST_STACKS || counts.has(line) ? line : OTHERS;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  };
  for (const event of stream) {
    const before = cpus.get(event.cpu);
    if (kernelStack !== undefined && event.type === kernelStack.id) {
      if (before?.pid !== event.pid) continue;
      if (before.kernel !== undefined) count(before, []);
      before.kernel = kernelStack.frames(event, (address) => trace.names.symbol(address)?.symbol.name);
    } else if (userStack !== undefined && event.type === userStack.id) {
      if (before?.pid === event.pid)
        count(
          before,
          userStack.frames(event, () => undefined),
        );
    } else {
      if (before?.kernel !== undefined) count(before, []);
      const name = trace.formats.byId(event.type)?.name ?? `type ${event.type}`;
      cpus.set(event.cpu, { pid: event.pid, name, wanted: wanted(event), kernel: undefined });
    }
  }
  for (const recorded of cpus.values()) if (recorded.kernel !== undefined) count(recorded, []);
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([line, times]) => `${line} ${times}`);
}

/** `;` and line ends part frames and lines. */
function plain(frame: string): string {
  return frame.replace(/[;\n]/g, '_');
}

interface StackReader {
  readonly id: number;
  frames(event: TraceEvent, nameOf: (address: bigint) => string | undefined): string[];
}

function stackReader(trace: Trace, name: string): StackReader | undefined {
  const format = trace.formats.find('ftrace', name);
  const field = format?.fields.find((one) => one.name === 'caller');
  if (format === undefined || field === undefined) return undefined;
  // The array reaches as far as the record, whatever length the format tells.
  const { elements } = fieldReader({ ...field, size: 0 }, trace.littleEndian, trace.longSize);
  return {
    id: format.id,
    frames: (event, nameOf) => {
      const frames: string[] = [];
      for (const value of elements(event)) {
        const address = BigInt.asUintN(64, BigInt(value));
        if (address === 0n || address === ALL_ONES) break;
        frames.push(nameOf(address) ?? `0x${address.toString(16)}`);
      }
      return frames;
    },
  };
}
