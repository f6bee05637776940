import { hex } from '../bytes/address.js';
import { orUndefined } from '../bytes/errors.js';
import { bytesOf } from '../bytes/search.js';
import type { Container, Note } from '../dump/container.js';
import type { DumpDescription, UtsName, WrittenNote } from '../dump/description.js';
import { readUts, readVariable } from '../kernel/identity.js';
import { clockIfAny } from '../kernel/interrupts/clock.js';
import type { Kernel } from '../kernel/kernel.js';
import { KernelView } from '../kernel/kernel-view.js';
import { savedPrstatus } from '../kernel/stacks/cpu-state.js';
import { parseVmcoreinfo } from '../kernel/vmcoreinfo.js';
import { START_KERNEL_MAP } from '../kernel/x86-64.js';
import { prstatusNotes, qemuNotes } from '../machine/x86-64/cpus.js';
import { NT_PRSTATUS } from '../machine/x86-64/prstatus.js';

/** A field of the input's header that is otherwise in the new one, or a note that was missing. */
export interface HeaderRepair {
  /** As a kdump header calls it: `utsname.release`, `phys_base`; or `VMCOREINFO`, `NT_PRSTATUS`. */
  readonly field: string;
  /** What stood there; undefined: nothing. */
  readonly was: string | undefined;
  readonly now: string;
  /** Where the right value is from. */
  readonly from: string;
}

/** The description of a new dump, and how it came about. */
export interface DescribedDump {
  readonly description: DumpDescription;
  readonly repairs: readonly HeaderRepair[];
  /** What the new dump lacks, in words. */
  readonly missing: readonly string[];
  /**
   * The page frame number from which on the kernel has no page structs, whatever the input describes there (a PC's
   * firmware at the top of 4 GiB). A kdump file must not describe it either: makedumpfile looks for the second bitmap
   * where it would be for the pages that the kernel knows. Undefined: not known.
   */
  readonly memoryEnd: number | undefined;
}

/**
 * Describes a dump as it should have been written: where the input's header and the kernel in it differ, the kernel is
 * right. Without a kernel the input's own words are kept. Never throws for what the dump holds; the caller has made
 * sure that it is of an x86-64 machine.
 * @param kernel the one that the dump is about
 * @param dumpLevel makedumpfile's `-d` of what is left out now; what the input lacks already is added to it
 */
export function describeDump(container: Container, kernel: Kernel | undefined, dumpLevel = 0): DescribedDump {
  const log = new RepairLog(container);
  const view = viewOf(kernel);
  const prstatus = describePrstatus(container, view, log);
  const vmcoreinfo = describeVmcoreinfo(container, kernel, log);
  const physBase = kernel?.physBase ?? container.claimedPhysBase;
  if (physBase !== undefined) log.field('phys_base', inHex(container.claimedPhysBase), hex(physBase), 'page tables');
  const cpus = Math.max(prstatus.length, view === undefined ? 0 : presentCpus(view).length, 1);
  log.field('nr_cpus', log.claimed('nr_cpus'), `${cpus}`, "the CPUs' notes and cpu_present_mask");
  const description: DumpDescription = {
    machine: 'x86_64',
    pageSize: container.memory.pageSize,
    utsname: describeUts(kernel, log),
    timestamp: describeTime(kernel, view, log),
    physBase,
    cpus,
    notes: [
      ...prstatus,
      ...qemuNotes(container).map(plain),
      ...(vmcoreinfo === undefined ? [] : [{ name: 'VMCOREINFO', type: 0, description: vmcoreinfo }]),
      ...otherNotes(container),
    ],
    vmcoreinfo,
    dumpLevel: dumpLevel | Number(log.claimed('dump_level') ?? 0),
    directMap: kernel?.directMap,
    kernelText: kernelTextOf(kernel),
  };
  return { description, repairs: log.repairs, missing: log.missing, memoryEnd: kernel && memoryEndOf(kernel) };
}

/** What the input's header says, and where the new one says something else. */
class RepairLog {
  readonly repairs: HeaderRepair[] = [];
  readonly missing: string[] = [];
  private readonly claims: ReadonlyMap<string, string>;

  constructor(container: Container) {
    this.claims = new Map(
      container.structures.flatMap(({ fields }) => fields.map(({ name, value }) => [name, String(value)] as const)),
    );
  }

  /** A field of the input's headers, as it stands there; undefined when it has no such field. */
  claimed(field: string): string | undefined {
    return this.claims.get(field);
  }

  /** A field; `was` is undefined where the input's format has no such one, which is no fault of it. */
  field(field: string, was: string | undefined, now: string, from: string): void {
    if (was !== undefined && was !== now) this.note(field, was === '' ? undefined : was, now, from);
  }

  /** A note, or a field that the input has, and should have otherwise. */
  note(field: string, was: string | undefined, now: string, from: string): void {
    this.repairs.push({ field, was, now, from });
  }
}

const UTS_FIELDS = ['sysname', 'nodename', 'release', 'version', 'machine', 'domainname'] as const;

function describeUts(kernel: Kernel | undefined, log: RepairLog): UtsName {
  const own = kernel && orUndefined(() => readUts(kernel));
  const given = (field: keyof UtsName): string | undefined => {
    const claim = log.claimed(`utsname.${field}`);
    return claim === '' || claim === 'Unknown' ? undefined : claim;
  };
  const known: { readonly [K in keyof UtsName]?: string | undefined } = own ?? {
    sysname: kernel && 'Linux',
    release: kernel?.release,
    nodename: kernel?.hostName,
    version: / (#\d.*)$/.exec(kernel?.banner ?? '')?.[1],
  };
  const from = own === undefined ? 'VMCOREINFO and linux_banner' : 'init_uts_ns';
  // Readers tell the architecture by `machine`, which is what this writer writes, whatever the kernel was told to say.
  const name = { ...known, machine: 'x86_64' };
  for (const field of UTS_FIELDS) {
    const now = name[field];
    if (now !== undefined) log.field(`utsname.${field}`, log.claimed(`utsname.${field}`), now, from);
  }
  if (known.release === undefined && given('release') === undefined) log.missing.push('utsname: no kernel tells it');
  const field = (key: keyof UtsName): string => (name[key] || given(key)) ?? '';
  return {
    sysname: field('sysname'),
    nodename: field('nodename'),
    release: field('release'),
    version: field('version'),
    machine: field('machine'),
    domainname: field('domainname'),
  };
}

/** When the kernel died: by its own word if it panicked, else its clock at the last tick; else what the input says. */
function describeTime(
  kernel: Kernel | undefined,
  view: KernelView | undefined,
  log: RepairLog,
): DumpDescription['timestamp'] {
  const clock = view && clockIfAny(view);
  const claim = log.claimed('timestamp.tv_sec');
  const claimed = Number(claim ?? 0);
  const now = (seconds: number, microseconds: number, from: string) => {
    log.field('timestamp', claim === '0' ? '' : claim, `${seconds}`, from);
    return { seconds, microseconds };
  };
  if (kernel?.crashTime !== undefined) return now(kernel.crashTime, 0, 'CRASHTIME in VMCOREINFO');
  if (clock !== undefined) {
    const wall = (clock.monotonic + clock.toReal) / 1000n;
    if (wall > 0n && wall < MOST_MICROSECONDS) {
      return now(Number(wall / 1_000_000n), Number(wall % 1_000_000n), 'the timekeeper');
    }
  }
  if (claimed === 0) log.missing.push('timestamp: neither the input nor the kernel tells it');
  return { seconds: claimed, microseconds: Number(log.claimed('timestamp.tv_usec') ?? 0) };
}

/** The year 9999. */
const MOST_MICROSECONDS = 253_402_300_800_000_000n;

function describePrstatus(container: Container, view: KernelView | undefined, log: RepairLog): WrittenNote[] {
  const given = prstatusNotes(container).map(plain);
  if (given.length > 0 || view === undefined) {
    if (given.length === 0) log.missing.push('NT_PRSTATUS: the input has no CPUs, and no kernel tells of them');
    return given;
  }
  const cpus = presentCpus(view);
  const saved = cpus.flatMap((cpu): WrittenNote[] => {
    const description = orUndefined(() => savedPrstatus(view, cpu));
    return description === undefined ? [] : [{ name: 'CORE', type: NT_PRSTATUS, description }];
  });
  if (saved.length > 0) log.note('NT_PRSTATUS', undefined, `${saved.length} CPUs`, 'crash_notes');
  if (saved.length < cpus.length) {
    log.missing.push(
      `NT_PRSTATUS of ${cpus.length - saved.length} CPUs: the input has none, and the kernel saved none when it stopped`,
    );
  }
  return saved;
}

/** The text as the input has it, when it is this kernel's; else as the kernel has it in memory. */
function describeVmcoreinfo(container: Container, kernel: Kernel | undefined, log: RepairLog): Uint8Array | undefined {
  const given = container.vmcoreinfo;
  const own = kernel?.vmcoreinfo?.text;
  if (own === undefined) {
    if (given === undefined) log.missing.push('VMCOREINFO: neither the input nor a kernel in it has one');
    return given;
  }
  if (given !== undefined && parseVmcoreinfo(given).text === own) return given;
  const size = (bytes: Uint8Array | undefined) => bytes && `${bytes.length} bytes`;
  const text = bytesOf(own);
  log.note('VMCOREINFO', size(given), size(text) ?? '', "the kernel's memory");
  return text;
}

/** Whatever else the input carries, but not what its notes say of the process that read /proc/kcore. */
function otherNotes(container: Container): WrittenNote[] {
  const known = new Set<Note>([...prstatusNotes(container), ...qemuNotes(container)]);
  return container.notes.filter((note) => !known.has(note) && !OTHERWISE.has(note.name)).map(plain);
}

const OTHERWISE: ReadonlySet<string> = new Set(['CORE', 'VMCOREINFO']);

function plain({ name, type, description }: Note): WrittenNote {
  return { name, type, description };
}

/** `_text` to `_end`, as the kernel describes itself to a capture kernel (crash_prepare_elf64_headers(), kernel/crash_core.c). */
function kernelTextOf(kernel: Kernel | undefined): DumpDescription['kernelText'] {
  if (kernel?.physBase === undefined) return undefined;
  const { symbols, physBase } = kernel;
  const virtual = symbols.address('_text') ?? symbols.address('_stext');
  const end = symbols.address('_end');
  if (virtual === undefined || end === undefined || end <= virtual || end - virtual > LARGEST_IMAGE) return undefined;
  const physical = virtual - START_KERNEL_MAP + physBase;
  return physical < 0n ? undefined : { virtual, physical: Number(physical), size: Number(end - virtual) };
}

/** KERNEL_IMAGE_SIZE is 512 MiB, or 1 GiB with KASLR. */
const LARGEST_IMAGE = 1n << 30n;

/** `max_pfn`, up to the end of its section of memory; include/linux/mmzone.h. */
function memoryEndOf(kernel: Kernel): number | undefined {
  const maxPfn = readVariable(kernel, 'max_pfn');
  if (maxPfn === undefined || maxPfn === 0n || maxPfn > MOST_PAGES) return undefined;
  const sectionBits = Number(kernel.layouts.number('SECTION_SIZE_BITS') ?? SECTION_SIZE_BITS);
  const section = Math.max(1, 2 ** sectionBits / kernel.memory.physical.pageSize);
  return Math.ceil(Number(maxPfn) / section) * section;
}

/** Of x86-64; arch/x86/include/asm/sparsemem.h. */
const SECTION_SIZE_BITS = 27;
/** 2^52 bytes in pages of 4 KiB. */
const MOST_PAGES = 1n << 40n;

function viewOf(kernel: Kernel | undefined): KernelView | undefined {
  return kernel && orUndefined(() => new KernelView(kernel));
}

/** Those that the machine has: a panicking kernel takes all others offline as it stops them. */
function presentCpus(view: KernelView): readonly number[] {
  return orUndefined(() => view.cpus('present')) ?? [];
}

function inHex(value: bigint | undefined): string | undefined {
  return value === undefined ? undefined : hex(value);
}
