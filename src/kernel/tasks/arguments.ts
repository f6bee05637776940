import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { ExhumeError } from '../../bytes/errors.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import type { KernelView } from '../kernel-view.js';
import type { Task } from './task.js';

/** What a program was started with, as its own memory has it at the end: a program may have written over it. */
export interface ProgramArguments {
  readonly arguments: readonly string[];
  readonly environment: readonly string[];
}

/** More than this is cut off, of each of the two. */
const MOST_BYTES = 1 << 20;

/**
 * Reads the arguments and the environment of a task's program out of its own address space.
 * Undefined for a task without one. Throws EXH_NOT_MAPPED for what is in swap, unless `open` reads that, and the page errors for
 * what the dump lacks.
 * @param open the address space below a page table, by the physical address of its root
 */
export function readArguments(
  view: KernelView,
  task: Task,
  open: (root: number) => Pick<VirtualMemory, 'bytes'>,
): ProgramArguments | undefined {
  if (task.mm === 0n) return undefined;
  const mm = view.struct('mm_struct', task.mm);
  const table = mm.pointer('pgd');
  const root = view.memory.translate(table);
  if (root === undefined) throw new ExhumeError('EXH_NOT_MAPPED', 'its page table is not mapped', { address: table });
  const memory = open(root);
  const between = (from: VirtualAddress, to: VirtualAddress): string[] => {
    const length = to > from ? Number(to - from) : 0;
    return stringsOf(memory.bytes(virtualAddress(from), Math.min(length, MOST_BYTES)));
  };
  return {
    arguments: between(mm.pointer('arg_start'), mm.pointer('arg_end')),
    environment: between(mm.pointer('env_start'), mm.pointer('env_end')),
  };
}

/** NUL-terminated texts, one after the other. */
function stringsOf(bytes: Uint8Array): string[] {
  const texts = new TextDecoder().decode(bytes).split('\0');
  if (texts.at(-1) === '') texts.pop();
  return texts;
}

/** A limit of a process; undefined is none. */
export interface ResourceLimit {
  /** Without `RLIMIT_`. */
  readonly name: string;
  readonly current: bigint | undefined;
  readonly maximum: bigint | undefined;
}

/** By their numbers, which are the interface to programs; include/uapi/asm-generic/resource.h. */
const LIMITS: readonly string[] = [
  'CPU',
  'FSIZE',
  'DATA',
  'STACK',
  'CORE',
  'RSS',
  'NPROC',
  'NOFILE',
  'MEMLOCK',
  'AS',
  'LOCKS',
  'SIGPENDING',
  'MSGQUEUE',
  'NICE',
  'RTPRIO',
  'RTTIME',
];
const NO_LIMIT = (1n << 64n) - 1n;

/** The limits of the process that a task belongs to. Throws EXH_NO_LAYOUT and memory's errors. */
export function readLimits(view: KernelView, task: Task): ResourceLimit[] {
  const signal = view.struct('signal_struct', task.signal);
  const { size } = view.types.requireStruct('rlimit');
  const first = signal.addressOf('rlim');
  const known = LIMITS.slice(0, Math.floor(signal.type.require('rlim').size / size));
  const value = (word: bigint): bigint | undefined => (word === NO_LIMIT ? undefined : word);
  return known.map((name, index) => {
    const limit = view.struct('rlimit', first + BigInt(index * size));
    return { name, current: value(limit.big('rlim_cur')), maximum: value(limit.big('rlim_max')) };
  });
}
