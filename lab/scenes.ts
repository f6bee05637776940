/** The scenes: what is run, and how it ends. Every combination that a reader of dumps must survive is a line here. */

import type { DeathName } from './deaths.js';
import type { KernelName } from './kernels.js';

export type QemuName = '7.2' | '11.1';

/**
 * How the guest ends.
 * - `panic`: by sysrq; the console shows `Kernel Offset`.
 * - `hung`: every CPU spins in user mode, and is caught there.
 * - `idle`: nothing is wrong.
 * - `firmware`: no kernel was ever loaded.
 * - `death`: as its `death` says (`lab/deaths.ts`).
 * - `kdump`: a panic starts a second kernel, which saves `/proc/vmcore` and stays.
 * - `stuck`: inside the kernel: one CPU spins with interrupts off, the other waits for it; the log has a soft lockup.
 * - `rebooted`: panics, is reset without losing its memory, boots once more, and then nothing is wrong.
 * - `live`: exhume itself runs in the guest, on `/proc/kcore`; there is no dump.
 */
export type Ending = 'panic' | 'hung' | 'idle' | 'firmware' | 'death' | 'kdump' | 'stuck' | 'rebooted' | 'live';

/** `raw` is a plain image of memory, `elf-paging` an ELF file with the virtual addresses that QEMU makes up. */
export type Format = 'elf' | 'elf-paging' | 'kdump-zlib' | 'kdump-raw-zlib' | 'raw';

export interface Scene {
  readonly name: string;
  readonly kernel: KernelName;
  readonly qemu: QemuName;
  readonly ending: Ending;
  /** `-device vmcoreinfo` and the guest's driver for it. */
  readonly vmcoreinfo: boolean;
  readonly kaslr: boolean;
  readonly firmware: 'seabios' | 'ovmf';
  readonly megabytes: number;
  readonly cpus: number;
  readonly cpuModel: string;
  /** More words on the kernel's command line. */
  readonly commandLine: readonly string[];
  /** Those that the QEMU does not have are left out. */
  readonly formats: readonly Format[];
  /** Make makedumpfile's forms of the saved `/proc/vmcore`. */
  readonly makedumpfile: boolean;
  readonly death?: DeathName;
  /** Its memory is put to every use (`lab/memory.ts`). Only before a capture kernel. */
  readonly memory?: boolean;
}

type Choices = Pick<Scene, 'name' | 'kernel' | 'qemu' | 'ending'> & Partial<Scene>;

function scene(choices: Choices): Scene {
  return {
    vmcoreinfo: true,
    kaslr: true,
    firmware: 'seabios',
    megabytes: 256,
    cpus: 2,
    cpuModel: 'qemu64',
    commandLine: [],
    formats: ['elf', 'kdump-zlib', 'kdump-raw-zlib'],
    makedumpfile: false,
    ...choices,
  };
}

/** A guest that dies in one of the ways of `lab/deaths.ts`, each kernel on the QEMU of its time. */
function dies(name: string, kernel: '6.1' | '7.2', death: DeathName, more: Partial<Scene> = {}): Scene {
  const qemu = kernel === '6.1' ? '7.2' : '11.1';
  return scene({ name, kernel, qemu, ending: 'death', death, formats: ['elf'], ...more });
}

export const SCENES: readonly Scene[] = [
  // Kernel, QEMU, vmcoreinfo, ending, KASLR: every pair of values is in one of these.
  scene({ name: 'panic-6.1', kernel: '6.1', qemu: '7.2', ending: 'panic' }),
  scene({
    name: 'sample',
    kernel: '7.2',
    qemu: '11.1',
    ending: 'panic',
    megabytes: 96,
    // Freed pages are zero, and zero pages take no room.
    commandLine: ['init_on_free=1'],
    formats: ['kdump-raw-zlib'],
  }),
  scene({ name: 'panic-7.2', kernel: '7.2', qemu: '11.1', ending: 'panic' }),
  scene({ name: 'panic-7.2-bare', kernel: '7.2', qemu: '11.1', ending: 'panic', vmcoreinfo: false }),
  scene({ name: 'hung-6.1-bare', kernel: '6.1', qemu: '11.1', ending: 'hung', vmcoreinfo: false }),
  scene({ name: 'hung-7.2', kernel: '7.2', qemu: '7.2', ending: 'hung' }),
  scene({ name: 'panic-6.1-bare', kernel: '6.1', qemu: '7.2', ending: 'panic', vmcoreinfo: false }),
  scene({ name: 'panic-6.1-nokaslr', kernel: '6.1', qemu: '11.1', ending: 'panic', kaslr: false }),
  scene({
    name: 'hung-7.2-bare-nokaslr',
    kernel: '7.2',
    qemu: '11.1',
    ending: 'hung',
    vmcoreinfo: false,
    kaslr: false,
  }),
  scene({ name: 'hung-6.1-nokaslr', kernel: '6.1', qemu: '7.2', ending: 'hung', kaslr: false }),
  scene({
    name: 'panic-7.2-bare-nokaslr',
    kernel: '7.2',
    qemu: '7.2',
    ending: 'panic',
    vmcoreinfo: false,
    kaslr: false,
  }),

  // The kernel is physically somewhere else.
  scene({ name: 'ovmf', kernel: '7.2', qemu: '7.2', ending: 'panic', firmware: 'ovmf', megabytes: 512 }),
  scene({
    name: 'ovmf-bare',
    kernel: '6.1',
    qemu: '11.1',
    ending: 'panic',
    firmware: 'ovmf',
    megabytes: 512,
    vmcoreinfo: false,
  }),

  // Two kernels in one memory, and a true /proc/vmcore.
  scene({
    name: 'kdump',
    kernel: '6.1',
    qemu: '7.2',
    ending: 'kdump',
    megabytes: 512,
    commandLine: ['crashkernel=192M'],
    formats: ['elf', 'kdump-zlib'],
    makedumpfile: true,
  }),
  scene({
    name: 'kdump-bare',
    kernel: '7.2',
    qemu: '11.1',
    ending: 'kdump',
    vmcoreinfo: false,
    megabytes: 512,
    commandLine: ['crashkernel=224M'],
    formats: ['elf', 'kdump-raw-zlib'],
  }),

  // Page frames of every class; `struct page`s of huge pages are shared, as far as the kernel can.
  scene({
    name: 'memory-6.1',
    kernel: '6.1',
    qemu: '7.2',
    ending: 'kdump',
    memory: true,
    megabytes: 512,
    commandLine: ['crashkernel=192M', 'hugetlb_free_vmemmap=on'],
    formats: ['elf'],
  }),
  scene({
    name: 'memory-7.2',
    kernel: '7.2',
    qemu: '11.1',
    ending: 'kdump',
    memory: true,
    megabytes: 512,
    commandLine: ['crashkernel=224M', 'hugetlb_free_vmemmap=on'],
    formats: ['kdump-raw-zlib'],
  }),

  scene({ name: 'la57', kernel: '7.2', qemu: '11.1', ending: 'panic', cpuModel: 'qemu64,+la57' }),
  scene({
    name: 'la57-bare-hung',
    kernel: '7.2',
    qemu: '7.2',
    ending: 'hung',
    cpuModel: 'qemu64,+la57',
    vmcoreinfo: false,
  }),
  // Page tables of user mode are a page of their own, and CR3 may point to them.
  scene({
    name: 'pti-hung-bare',
    kernel: '6.1',
    qemu: '7.2',
    ending: 'hung',
    commandLine: ['pti=on'],
    vmcoreinfo: false,
  }),
  scene({ name: 'idle', kernel: '6.1', qemu: '11.1', ending: 'idle' }),
  scene({ name: 'idle-bare', kernel: '7.2', qemu: '11.1', ending: 'idle', vmcoreinfo: false }),
  scene({ name: 'maxcpus1', kernel: '6.1', qemu: '7.2', ending: 'panic', commandLine: ['maxcpus=1'] }),
  scene({ name: 'firmware', kernel: '6.1', qemu: '7.2', ending: 'firmware', vmcoreinfo: false, megabytes: 64 }),
  scene({ name: 'paging', kernel: '6.1', qemu: '11.1', ending: 'panic', formats: ['elf-paging'] }),
  scene({ name: 'raw', kernel: '7.2', qemu: '7.2', ending: 'panic', vmcoreinfo: false, formats: ['raw'] }),

  // Memory on both sides of the hole below 4 GiB.
  scene({ name: 'high', kernel: '6.1', qemu: '11.1', ending: 'panic', megabytes: 5120, formats: ['kdump-raw-zlib'] }),

  // Hung in the kernel and not in user mode.
  scene({ name: 'stuck-6.1', kernel: '6.1', qemu: '7.2', ending: 'stuck', formats: ['elf', 'kdump-zlib'] }),
  scene({
    name: 'stuck-7.2-bare',
    kernel: '7.2',
    qemu: '11.1',
    ending: 'stuck',
    vmcoreinfo: false,
    formats: ['elf', 'kdump-raw-zlib'],
  }),

  // An earlier boot's kernel is still in memory, with its page tables and its VMCOREINFO.
  scene({
    name: 'rebooted-6.1-bare',
    kernel: '6.1',
    qemu: '7.2',
    ending: 'rebooted',
    vmcoreinfo: false,
    megabytes: 1024,
    formats: ['elf', 'raw'],
  }),
  scene({
    name: 'rebooted-7.2-bare',
    kernel: '7.2',
    qemu: '11.1',
    ending: 'rebooted',
    vmcoreinfo: false,
    formats: ['kdump-raw-zlib', 'raw'],
  }),

  // The running kernel, looked at from inside.
  scene({ name: 'kcore-6.1', kernel: '6.1', qemu: '7.2', ending: 'live', megabytes: 1024, formats: [] }),
  // With five levels, offsets in /proc/kcore do not fit a double's 53 bits.
  scene({
    name: 'kcore-7.2-la57',
    kernel: '7.2',
    qemu: '11.1',
    ending: 'live',
    cpuModel: 'qemu64,+la57',
    megabytes: 1024,
    formats: [],
  }),

  // Other encodings of the log and of kallsyms.
  scene({ name: 'panic-5.10', kernel: '5.10', qemu: '7.2', ending: 'panic', formats: ['elf', 'kdump-zlib'] }),
  scene({ name: 'panic-6.12', kernel: '6.12', qemu: '11.1', ending: 'panic', formats: ['elf', 'kdump-raw-zlib'] }),
  scene({ name: 'panic-6.18-bare', kernel: '6.18', qemu: '7.2', ending: 'panic', vmcoreinfo: false, formats: ['elf'] }),

  // Ways to die. Two boots of the same death: equal signatures.
  dies('null-6.1', '6.1', 'null', { formats: ['elf', 'kdump-zlib'] }),
  dies('null-7.2', '7.2', 'null', { formats: ['elf', 'kdump-raw-zlib'] }),
  dies('null-again-6.1', '6.1', 'null'),
  dies('null-again-7.2', '7.2', 'null'),
  dies('busy-6.1', '6.1', 'busy', { formats: ['elf', 'kdump-zlib'] }),
  dies('busy-7.2', '7.2', 'busy', { formats: ['elf', 'kdump-raw-zlib'] }),
  dies('threads-6.1', '6.1', 'threads-5000', { megabytes: 384 }),
  dies('threads-7.2', '7.2', 'threads-5000', { megabytes: 384 }),
  dies('threads-20000-7.2', '7.2', 'threads-20000', { megabytes: 1024 }),
  dies('poison-6.1', '6.1', 'poison'),
  dies('bug-7.2', '7.2', 'bug'),
  dies('warn-6.1', '6.1', 'warn'),
  dies('jump-7.2', '7.2', 'jump'),
  dies('divide-6.1', '6.1', 'divide'),
  dies('list-6.1', '6.1', 'list'),
  dies('list-7.2', '7.2', 'list'),
  dies('overflow-6.1', '6.1', 'overflow'),
  dies('overflow-7.2', '7.2', 'overflow'),
  dies('irq-6.1', '6.1', 'irq'),
  dies('irq-7.2', '7.2', 'irq'),
  dies('softirq-7.2', '7.2', 'softirq'),
  dies('work-6.1', '6.1', 'work'),
  dies('survived-6.1', '6.1', 'survived'),
  dies('softlockup-6.1', '6.1', 'softlockup'),
  dies('softlockup-alive-7.2', '7.2', 'softlockup-alive'),
  dies('hardlockup-6.1', '6.1', 'hardlockup'),
  dies('hung-task-7.2', '7.2', 'hung-task'),
  dies('hung-task-alive-6.1', '6.1', 'hung-task-alive', { cpus: 1 }),
  dies('oom-6.1', '6.1', 'oom'),
  dies('oom-kill-7.2', '7.2', 'oom-kill'),
  dies('nmi-7.2', '7.2', 'nmi'),
  dies('secrets-6.1', '6.1', 'secrets'),
  dies('secrets-7.2', '7.2', 'secrets'),
];
