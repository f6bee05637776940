import type { VirtualAddress } from '../bytes/address.js';
import { type Damage, damageOf, isExhumeError } from '../bytes/errors.js';
import type { UtsName } from '../dump/description.js';
import { buildIdOf } from '../dump/notes.js';
import type { VirtualMemory } from '../machine/virtual-memory.js';
import type { Layouts } from './layouts.js';
import type { SymbolTable } from './symbols.js';

/** What a kernel says of itself in its variables. */
export interface KernelIdentity {
  readonly banner: string | undefined;
  readonly release: string | undefined;
  readonly hostName: string | undefined;
  readonly buildId: string | undefined;
  readonly commandLine: string | undefined;
  /** The CPU that panicked or takes the machine down; undefined when none does. */
  readonly panicCpu: number | undefined;
  /** Wall-clock seconds since 1970 at which the timekeeper was last updated. */
  readonly stoppedTime: number | undefined;
  /** Monotonic seconds since boot, at the same moment. */
  readonly uptime: number | undefined;
}

/** What the variables are read through. */
export interface KernelSource {
  readonly memory: VirtualMemory;
  readonly symbols: SymbolTable;
  readonly layouts: Layouts;
}

/** `__NEW_UTS_LEN + 1`: bytes of each string of `struct new_utsname`; include/uapi/linux/utsname.h. */
const UTS_LENGTH = 65n;
/** COMMAND_LINE_SIZE is 2048 on x86-64; other architectures have up to 4096. */
const LONGEST_COMMAND_LINE = 4096;
const LONGEST_BANNER = 1024;

/** Reads them all; what cannot be read is undefined, and told as damage. */
export function readIdentity(source: KernelSource, damage: Damage[]): KernelIdentity {
  const attempt = <T>(part: string, read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      damage.push(damageOf(part, error));
      return undefined;
    }
  };
  const uts = attempt('uts namespace', () => readUts(source));
  const clock = attempt('timekeeper', () => readTimekeeper(source));
  return {
    banner: attempt('linux_banner', () => readBanner(source)),
    release: uts?.release,
    hostName: uts?.nodename,
    buildId: attempt('build id', () => readBuildId(source)),
    commandLine: attempt('command line', () => readCommandLine(source)),
    panicCpu: attempt('panic_cpu', () => readPanicCpu(source)),
    stoppedTime: clock?.wall,
    uptime: clock?.monotonic,
  };
}

/** `linux_banner`, without its line end; undefined when it is not one. */
export function readBanner({ memory, symbols }: Pick<KernelSource, 'memory' | 'symbols'>): string | undefined {
  const address = symbols.address('linux_banner');
  if (address === undefined) return undefined;
  const banner = memory.string(address, LONGEST_BANNER);
  return banner.startsWith('Linux version ') ? banner.trimEnd() : undefined;
}

/** `init_uts_ns.name`: what `uname -a` says outside containers; undefined when this kernel's cannot be found. */
export function readUts({ memory, symbols, layouts }: KernelSource): UtsName | undefined {
  const namespace = symbols.address('init_uts_ns');
  const name = layouts.offset('uts_namespace', 'name');
  if (namespace === undefined || name === undefined) return undefined;
  const field = (index: bigint): string =>
    memory.string(namespace + BigInt(name) + index * UTS_LENGTH, Number(UTS_LENGTH));
  return {
    sysname: field(0n),
    nodename: field(1n),
    release: field(2n),
    version: field(3n),
    machine: field(4n),
    domainname: field(5n),
  };
}

function readCommandLine({ memory, symbols }: KernelSource): string | undefined {
  const pointer = symbols.address('saved_command_line');
  if (pointer === undefined) return undefined;
  const text = memory.pointer(pointer);
  return text === 0n ? undefined : memory.string(text, LONGEST_COMMAND_LINE);
}

/** `panic_cpu`: PANIC_CPU_INVALID is -1; kernel/panic.c. */
function readPanicCpu({ memory, symbols }: KernelSource): number | undefined {
  const address = symbols.address('panic_cpu');
  const cpu = address === undefined ? -1 : memory.i32(address);
  return cpu < 0 ? undefined : cpu;
}

/** The GNU build id among the notes that the kernel keeps mapped, as 40 hexadecimal digits. */
function readBuildId({ memory, symbols }: KernelSource): string | undefined {
  const start = symbols.address('__start_notes');
  const stop = symbols.address('__stop_notes');
  if (start === undefined || stop === undefined || stop <= start || stop - start > 65536n) return undefined;
  return buildIdOf(memory.bytes(start, Number(stop - start)), memory.littleEndian);
}

/**
 * Seconds since 1970 and since boot out of the core timekeeper: `tk_core` up to 6.15, `timekeeper_data[0]` after;
 * kernel/time/timekeeping.c. Before `struct tk_data` had a name, the timekeeper followed an 8-byte sequence count.
 */
function readTimekeeper({ memory, symbols, layouts }: KernelSource): { wall: number; monotonic: number } | undefined {
  const core = symbols.address('timekeeper_data') ?? symbols.address('tk_core');
  const wall = layouts.offset('timekeeper', 'xtime_sec');
  const monotonic = layouts.offset('timekeeper', 'ktime_sec');
  if (core === undefined || wall === undefined || monotonic === undefined) return undefined;
  const timekeeper = core + BigInt(layouts.offset('tk_data', 'timekeeper') ?? 8);
  return { wall: seconds(memory, timekeeper, wall), monotonic: seconds(memory, timekeeper, monotonic) };
}

function seconds(memory: VirtualMemory, timekeeper: bigint, offset: number): number {
  return Number(memory.u64((timekeeper + BigInt(offset)) as VirtualAddress));
}

/** Reads 64 bits at a symbol plus `offset` bytes; undefined when there is no such symbol or its page is not there. */
export function readVariable(
  { memory, symbols }: Pick<KernelSource, 'memory' | 'symbols'>,
  name: string,
  offset = 0n,
): bigint | undefined {
  const address = symbols.address(name);
  if (address === undefined) return undefined;
  try {
    return memory.u64(address + offset);
  } catch (error) {
    if (isExhumeError(error)) return undefined;
    throw error;
  }
}
