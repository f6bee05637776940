import { hex } from '../../bytes/address.js';
import { viewOf } from '../../bytes/struct-table.js';
import { type GuestCpu, type GuestRegisters, REGISTERS_BY_NUMBER } from '../guest.js';
import { conditionFlags, fits, LAZY_FLAGS, NUMBERINGS } from './condition-codes.js';
import { type CpuStruct, findCpuStructs, REACH, STRUCT_BYTES } from './cpu-structs.js';
import { type RegisterOwner, registerOwners } from './kvm-copy.js';
import type { MappedFile } from './process-core.js';
import type { ProcessMemory } from './process-memory.js';
import type { Thread } from './threads.js';

/** QEMU's CPUs, and how they were made out. */
export interface QemuCpus {
  readonly cpus: readonly GuestCpu[];
  /** What the structures proved to be like, in words. */
  readonly layout: readonly string[];
}

/** QEMU's own array is in the order of the registers' numbers (QEMU target/i386/cpu.h: R_EAX and so on). */
const RSP = REGISTERS_BY_NUMBER.indexOf('rsp');
/** How many general registers a structure may have room for: 32 since APX, 16 before; powers of two beyond. */
const COUNTS = [16, 32, 64];
/** The first address of a kernel's half. */
const UPPER_HALF = 0xffff_8000_0000_0000n;
/** How many CPU states are looked at for a list: the first two of a machine, and some copies of others. */
const MOST_HEADS = 8;
const MOST_LINKS = 64;
/** How far behind the control registers EFER is: behind the bounds registers. */
const EFER_REACH = 0x200;
/** How far behind them the MSRs of SYSCALL are: behind some kilobytes of vector registers. */
const MSR_REACH = 0x3000;
const EFER_BITS = 0x20_fd01n;
const EFER_LONG = 0x500n;
const CR0_PE = 1n;
const CR0_PG = 1n << 31n;
const DF = 0x400n;
/** CPL, in hflags (QEMU target/i386/cpu.h HF_CPL_MASK). */
const CPL = 3;

/** What is known of the CPUs beforehand. */
export interface CpuHints {
  /** The files that the process had mapped, where KVM ran the CPUs; undefined: QEMU itself did. */
  readonly kvm: readonly MappedFile[] | undefined;
  /** Where the CPUs' structures begin, by the list that QEMU's program exports. */
  readonly listed: readonly number[] | undefined;
}

/** Finds QEMU's CPUs with their registers. */
export function readCpus(memory: ProcessMemory, threads: readonly Thread[], { kvm, listed }: CpuHints): QemuCpus {
  const all = findCpuStructs(memory);
  const { structs, order } = byList(all, listed, inOrder(memory, all, threads));
  if (structs.length === 0) return { cpus: [], layout: [] };
  const long = structs.filter((one) => ((one.control[0] ?? 0n) & CR0_PG) !== 0n);
  const count = registerCount(memory, structs);
  const efer = offsetOf(memory, long, EFER_REACH, 8, isEfer);
  const msrs = offsetOf(memory, long, MSR_REACH, 48, isSyscallMsrs);
  const numbers = numberingOf(structs);
  const threadAt = threadOffset(memory, structs, threads);
  const owners = kvm && registerOwners(memory, structs, kvm);
  const layout = [
    `${structs.length} CPU states with ${count} general registers each, by what registers can hold`,
    order,
    efer === undefined ? 'EFER was not found' : `EFER ${efer} bytes behind them`,
    msrs === undefined
      ? 'MSR_KERNEL_GS_BASE was not found'
      : `the MSRs of SYSCALL ${msrs - STRUCT_BYTES} bytes behind them`,
  ];
  const cpus = structs.map((one, index): GuestCpu => {
    const thread = threads.find(({ tid }) => threadAt !== undefined && tid === u32(memory, one.eip + threadAt));
    const flags = owners === undefined ? flagsOf(one, numbers) : { value: one.eflags };
    const stale = owners === undefined ? (staleInCode(thread) ?? flags.doubt) : staleUnderKvm(thread, owners[index]);
    const control = new Map(one.control.map((value, i) => [`cr${i}`, value]));
    const eferValue = efer === undefined ? undefined : u64(memory, one.eip + efer);
    if (eferValue !== undefined) control.set('efer', eferValue);
    for (const [i, name] of SYSCALL_MSRS.entries()) {
      const value = msrs === undefined || name === undefined ? undefined : u64(memory, one.eip + msrs + 8 * i);
      if (value !== undefined && name !== undefined) control.set(name, value);
    }
    const general = new Map([
      ['rip', one.rip],
      ['rflags', flags.value],
    ]);
    const array = memory.bytes(one.eip - 8 * count, 8 * count);
    if (array !== undefined) {
      const view = viewOf(array);
      for (const [i, name] of REGISTERS_BY_NUMBER.entries()) general.set(name, view.getBigUint64(8 * i, true));
    }
    const registers: GuestRegisters = { general, segments: one.segments, control };
    const started = ((one.control[0] ?? 0n) & CR0_PE) !== 0n;
    return {
      index,
      // What KVM did since is not seen here.
      state: started ? 'running' : stale === undefined || owners === undefined ? 'not started' : 'unknown',
      registers,
      source: `QEMU's CPU state at ${hex(one.eip)}${thread === undefined ? '' : `, of thread ${thread.tid}`}`,
      ...(stale !== undefined && { stale }),
      damage: [],
    };
  });
  return { cpus, layout };
}

/** star, vm_hsave, lstar, cstar, fmask, kernelgsbase: one behind the other (QEMU target/i386/cpu.h). */
const SYSCALL_MSRS = ['star', undefined, 'lstar', 'cstar', 'sfmask', 'kernel_gs_base'];

/** The size of the array of general registers that makes every CPU's stack pointer one. */
function registerCount(memory: ProcessMemory, structs: readonly CpuStruct[]): number {
  const scores = COUNTS.map((count) => {
    return structs.filter((one) => {
      const rsp = u64(memory, one.eip - 8 * (count - RSP));
      if (rsp === undefined || ((one.control[0] ?? 0n) & CR0_PG) === 0n) return false;
      return (one.hflags & CPL) === 0 ? rsp >= UPPER_HALF : rsp > 0xffffn && rsp < UPPER_HALF;
    }).length;
  });
  return COUNTS[scores.indexOf(Math.max(...scores))] as number;
}

function isEfer(view: DataView, at: number): boolean {
  const value = view.getBigUint64(at, true);
  return (value & ~EFER_BITS) === 0n && (value & EFER_LONG) === EFER_LONG;
}

/** As a 64-bit system sets them: only selectors in STAR, LSTAR in the upper half, a mask of flags. */
function isSyscallMsrs(view: DataView, at: number): boolean {
  const [star = 0n, , lstar = 0n, cstar = 0n, fmask = 0n] = [0, 8, 16, 24, 32].map((more) =>
    view.getBigUint64(at + more, true),
  );
  return (
    star >> 32n !== 0n &&
    (star & 0xffff_ffffn) === 0n &&
    lstar >= UPPER_HALF &&
    (cstar === 0n || cstar >= UPPER_HALF) &&
    fmask !== 0n &&
    fmask >> 22n === 0n
  );
}

/** The first offset from `eip` behind the known part at which all of these CPUs have what is looked for. */
function offsetOf(
  memory: ProcessMemory,
  structs: readonly CpuStruct[],
  reach: number,
  bytes: number,
  is: (view: DataView, at: number) => boolean,
): number | undefined {
  const views = structs.flatMap(({ eip }) => {
    const found = memory.upTo(eip + STRUCT_BYTES, reach);
    return found.length < bytes ? [] : [viewOf(found)];
  });
  if (views.length === 0) return undefined;
  for (let at = 0; at + bytes <= Math.min(...views.map(({ byteLength }) => byteLength)); at += 8) {
    if (views.every((view) => is(view, at))) return STRUCT_BYTES + at;
  }
  return undefined;
}

/** The numbering of operations in which the CPUs that are at rest have the flags that they were left with. */
function numberingOf(structs: readonly CpuStruct[]): readonly (typeof NUMBERINGS)[number][] {
  const rested = structs.filter(({ eflags }) => (eflags & LAZY_FLAGS) !== 0n);
  const possible = NUMBERINGS.filter((numbers) =>
    structs.every((one) => fits(numbers, one.condition) || rested.includes(one)),
  );
  const proven = possible.filter((numbers) =>
    rested.every(({ condition, eflags }) => conditionFlags(numbers, condition) === (eflags & LAZY_FLAGS)),
  );
  return rested.length > 0 && proven.length > 0 ? proven : possible;
}

/** RFLAGS of an emulated CPU: whole when the CPU rests, else out of what the last operation left. */
function flagsOf(
  { eflags, condition, direction }: CpuStruct,
  numberings: readonly (typeof NUMBERINGS)[number][],
): { readonly value: bigint; readonly doubt?: string } {
  if ((eflags & LAZY_FLAGS) !== 0n) return { value: eflags };
  const whole = eflags | (direction === -1 ? DF : 0n);
  const answers = new Set(numberings.map((numbers) => conditionFlags(numbers, condition) ?? 0n));
  const [only] = answers;
  if (answers.size === 1 && only !== undefined) return { value: whole | only };
  const operation = `operation ${condition.op}`;
  return { value: whole, doubt: `the arithmetic flags are not known: QEMU kept them as ${operation}` };
}

/** A thread that was in code that the translator made has some of its CPU's registers in the processor's. */
function staleInCode(thread: Thread | undefined): string | undefined {
  if (thread === undefined || !thread.inTranslatedCode) return undefined;
  return 'QEMU was executing it when the core was written: RIP is of the beginning of the block that ran';
}

/** Under KVM the kernel has the registers; QEMU has a copy of when it last asked, which counts until the CPU runs on. */
function staleUnderKvm(thread: Thread | undefined, owner: RegisterOwner | undefined): string | undefined {
  const copy = 'these are the registers of when QEMU last asked KVM for them';
  if (thread?.inKvmRun) return `it was inside the guest (KVM_RUN) when the core was written, so ${copy}`;
  if (owner === 'qemu') return undefined;
  return owner === 'kvm' ? `it ran on since: ${copy}` : `${copy}, which may be long ago`;
}

/**
 * CPUs in the order of QEMU's list of them, which is that of their numbers: a word in one's structure leads to the next
 * one's, where the word behind the one at the same place leads back (QTAILQ). What is in no list is a copy that QEMU
 * made when it reset a CPU, and freed since. By address where no list is seen.
 */
function inOrder(memory: ProcessMemory, structs: readonly CpuStruct[], threads: readonly Thread[]): OrderedCpus {
  const byAddress = [...structs].sort((a, b) => a.eip - b.eip);
  let longest: CpuStruct[] = [];
  for (const { next, begins } of linksOf(memory, byAddress)) {
    const chain = chainOf(memory, byAddress, next, begins);
    if (chain.length > longest.length) longest = chain;
  }
  if (longest.length > 1) return { structs: longest, order: "in the order of QEMU's list of CPUs" };
  const threaded = byAddress.filter(({ eip }) => threadOffset(memory, [{ eip }], threads) !== undefined);
  const [first, ...others] = threaded.length > 0 ? threaded : byAddress;
  if (first === undefined) return { structs: [], order: '' };
  return others.length === 0
    ? { structs: [first], order: 'one CPU' }
    : { structs: [first, ...others], order: 'in the order of their addresses: no list of them was found' };
}

interface OrderedCpus {
  readonly structs: readonly CpuStruct[];
  readonly order: string;
}

/** The CPUs of the program's own list, if each of them has a state that was found; what differs is told. */
function byList(all: readonly CpuStruct[], listed: readonly number[] | undefined, found: OrderedCpus): OrderedCpus {
  if (listed === undefined) return found;
  const structs = listed.map((start) => all.find(({ eip }) => eip > start && eip - start < REACH));
  const whole = structs.filter((one) => one !== undefined);
  const program = "the list of CPUs that QEMU's program exports";
  if (whole.length < structs.length) {
    return { ...found, order: `${found.order}; ${program} has ${structs.length}, of which ${whole.length} were found` };
  }
  const same = whole.length === found.structs.length && whole.every((one, i) => one === found.structs[i]);
  if (same) return { ...found, order: `${found.order}, as in ${program}` };
  return { structs: whole, order: `in the order of ${program}; ${found.order} they would be others` };
}

/** The list that begins with a CPU that none leads to; the longest of them. */
function chainOf(memory: ProcessMemory, structs: readonly CpuStruct[], next: number, begins: number): CpuStruct[] {
  const byEip = new Map(structs.map((one) => [one.eip, one]));
  const follower = new Map<number, number>();
  for (const { eip } of structs) {
    const to = memory.word(eip + next);
    if (to !== undefined && byEip.has(to + begins)) follower.set(eip, to + begins);
  }
  const followed = new Set(follower.values());
  let longest: CpuStruct[] = [];
  for (const head of structs) {
    if (followed.has(head.eip)) continue;
    const chain: CpuStruct[] = [];
    for (let at: CpuStruct | undefined = head; at !== undefined && chain.length < structs.length; ) {
      chain.push(at);
      at = byEip.get(follower.get(at.eip) ?? Number.NaN);
    }
    if (chain.length > longest.length) longest = chain;
  }
  return longest;
}

/** Where in a CPU's structure the list may run, from pairs of CPUs that are linked: offsets from `eip`. */
function linksOf(
  memory: ProcessMemory,
  structs: readonly CpuStruct[],
): { readonly next: number; readonly begins: number }[] {
  const found: { next: number; begins: number }[] = [];
  const lowest = structs[0]?.eip ?? 0;
  const highest = structs.at(-1)?.eip ?? 0;
  for (const { eip } of structs.slice(0, MOST_HEADS)) {
    const bytes = memory.before(eip, REACH);
    const view = viewOf(bytes);
    for (let at = 0; at + 8 <= bytes.length; at += 8) {
      const to = Number(view.getBigUint64(at, true));
      if (to < lowest - REACH || to >= highest || found.length === MOST_LINKS) continue;
      for (const other of structs) {
        const begins = other.eip - to;
        const next = at - bytes.length;
        // The link lies between the beginning of the structure and `eip`.
        if (other.eip === eip || begins <= 0 || begins > REACH || next < -begins) continue;
        if (memory.word(other.eip + next + 8) === eip + next) found.push({ next, begins });
      }
    }
  }
  return found;
}

/** Where each CPU's structure has the number of its thread, from `eip`: the offset at which all have one of the threads'. */
function threadOffset(
  memory: ProcessMemory,
  structs: readonly Pick<CpuStruct, 'eip'>[],
  threads: readonly Thread[],
): number | undefined {
  const tids = new Set(threads.map(({ tid }) => tid));
  const [first] = structs;
  if (first === undefined) return undefined;
  const bytes = memory.before(first.eip, REACH);
  const view = viewOf(bytes);
  for (let at = bytes.length - 4; at >= 0; at -= 4) {
    if (!tids.has(view.getUint32(at, true))) continue;
    const of = structs.map(({ eip }) => u32(memory, eip - bytes.length + at));
    if (of.every((tid) => tid !== undefined && tids.has(tid))) return at - bytes.length;
  }
  return undefined;
}

function u64(memory: ProcessMemory, at: number): bigint | undefined {
  const bytes = memory.bytes(at, 8);
  return bytes && viewOf(bytes).getBigUint64(0, true);
}

function u32(memory: ProcessMemory, at: number): number | undefined {
  const bytes = memory.bytes(at, 4);
  return bytes && viewOf(bytes).getUint32(0, true);
}
