import { viewOf } from '../../bytes/struct-table.js';
import type { KernelView } from '../kernel-view.js';
import { hlistNodes } from '../types/lists.js';
import type { Struct } from '../types/struct.js';
import type { KernelText } from './text.js';

/** `SHADOW_STACK_SIZE` of kernel/trace/fgraph.c since 6.11: bytes of a task's `ret_stack`. */
const SHADOW_STACK = 4096;
/** `FTRACE_RETFUNC_DEPTH` before that: entries. */
const RETURN_DEPTH = 50;
/** More probed functions than fit into one task's stack. */
const MOST_NODES = 4096;

/** Who put their own address where a return address was. */
export type Replacer = 'ftrace' | 'kretprobe';

/** A task's return addresses that tracers have replaced, and where they keep the real ones. */
export class ReplacedReturns {
  private shadow: BigUint64Array | undefined;
  private probed: ReadonlyMap<bigint, bigint> | undefined;

  constructor(
    private readonly view: KernelView,
    private readonly task: Struct,
    private readonly text: KernelText,
  ) {}

  /** Whose trampoline a return address leads to; undefined for a real one. */
  replacer(address: bigint): Replacer | undefined {
    const name = this.text.at(address)?.symbol.name;
    return name === undefined ? undefined : TRAMPOLINES.get(name);
  }

  /**
   * The address that stood at `slot` on the stack before; undefined when the kernel has no note of it.
   * Throws memory's errors and EXH_NO_LAYOUT.
   */
  original(replacer: Replacer, slot: bigint): bigint | undefined {
    const address = replacer === 'ftrace' ? this.traced(slot) : this.probedReturns().get(slot);
    return address !== undefined && this.text.isText(address) ? address : undefined;
  }

  /** The entry of `ret_stack` whose `retp` is the slot: an array before 6.11, a stack of words since. */
  private traced(slot: bigint): bigint | undefined {
    const type = this.view.types.requireStruct('ftrace_ret_stack');
    const [ret, retp] = [type.require('ret').offset / 8, type.require('retp').offset / 8];
    this.shadow ??= this.readShadow(type.size);
    const at = this.shadow.findIndex((word, index) => word === slot && index >= retp);
    return at < 0 ? undefined : this.shadow[at - retp + ret];
  }

  private readShadow(entry: number): BigUint64Array {
    const { memory } = this.view;
    const start = this.task.pointer('ret_stack');
    if (start === 0n) return new BigUint64Array();
    // An array is as long as its page; both are allocated in one piece.
    const bytes = memory.bytes(start, Math.max(SHADOW_STACK, entry * RETURN_DEPTH));
    const view = viewOf(bytes);
    return BigUint64Array.from({ length: bytes.length >>> 3 }, (_, index) =>
      view.getBigUint64(index * 8, memory.littleEndian),
    );
  }

  /** Real return addresses by slot: `task.rethooks` since 5.18, `task.kretprobe_instances` from 5.11 on. */
  private probedReturns(): ReadonlyMap<bigint, bigint> {
    this.probed ??= new Map(this.task.has('rethooks') ? this.nodes(RETHOOK) : this.nodes(KRETPROBE));
    return this.probed;
  }

  private *nodes(source: typeof RETHOOK | typeof KRETPROBE): Generator<[bigint, bigint]> {
    if (!this.task.has(source.head)) return;
    const type = this.view.types.requireStruct(source.type);
    const link = BigInt(type.require('llist').offset);
    let count = 0;
    for (const node of hlistNodes(this.view.memory, this.task.addressOf(source.head))) {
      if (++count > MOST_NODES) return;
      const hook = this.view.struct(source.type, node - link);
      yield [hook.big(source.slot), hook.big('ret_addr')];
    }
  }
}

const RETHOOK = { head: 'rethooks', type: 'rethook_node', slot: 'frame' } as const;
const KRETPROBE = { head: 'kretprobe_instances', type: 'kretprobe_instance', slot: 'fp' } as const;

const TRAMPOLINES: ReadonlyMap<string, Replacer> = new Map([
  ['return_to_handler', 'ftrace'],
  ['arch_rethook_trampoline', 'kretprobe'],
  ['__kretprobe_trampoline', 'kretprobe'],
  ['kretprobe_trampoline', 'kretprobe'],
]);
