import { hex, physicalAddress, virtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import type { Kernel } from '../../kernel/kernel.js';
import type { Cpu } from '../../machine/machine.js';
import { FRAME_MASK, X86PageTable } from '../../machine/x86-64/paging.js';
import type { GuestRegisters } from '../guest.js';

/** A CPU of the host whose registers in the dump are a guest's: it was inside the guest when the dump was made. */
export interface CpuInGuest {
  readonly cpu: Cpu;
  readonly registers: GuestRegisters;
  /** What told it. */
  readonly how: string;
}

/** What is known of a vCPU that may have been on a CPU. */
export interface Suspect {
  readonly hostCpu: number | undefined;
  readonly inGuest: boolean;
  /** `cr3` when the guest was left last. */
  readonly lastCr3: bigint | undefined;
}

const CR4_LA57 = 1n << 12n;

/** CPUs whose page table, by the dump's notes, is not one of the host: they were in a guest. */
export function cpusNotInHost(kernel: Kernel): Cpu[] {
  const { machine, memory } = kernel;
  const text = kernel.symbols.address('_stext') ?? kernel.symbols.address('_text');
  const physical = text === undefined ? undefined : memory.translate(text);
  if (text === undefined || physical === undefined) return [];
  return machine.cpus.filter((cpu) => {
    const roots = machine.rootsOf(cpu);
    return (
      roots.length > 0 &&
      cpu.mode !== 'firmware' &&
      roots.every(({ root, levels }) => machine.pageTable(root, levels).translate(text) !== physical)
    );
  });
}

/** The same where the kernel has virtual machines: nothing else takes a CPU away from it while a dump is made from outside. */
export function cpusInGuests(kernel: Kernel): Cpu[] {
  return kernel.machine.creator === 'qemu' && hasKvm(kernel) ? cpusNotInHost(kernel) : [];
}

/** Its variable is among the symbols only with CONFIG_KALLSYMS_ALL, its functions always are. */
export function hasKvm({ symbols }: Kernel): boolean {
  return ['vm_list', 'kvm_vcpu_ioctl', 'kvm_vm_ioctl'].some((name) => symbols.address(name) !== undefined);
}

/**
 * The CPU that was inside this vCPU's guest: by CR3, where it is the one that the guest was left with last; else the CPU
 * that KVM says it ran on, if the guest's own memory maps its RIP below its CR3.
 */
export function cpuInGuest(
  suspect: Suspect,
  candidates: readonly Cpu[],
  memory: PhysicalMemory,
): CpuInGuest | undefined {
  const byCr3 = candidates.find(
    (cpu) => suspect.lastCr3 !== undefined && cr3Of(cpu) === (suspect.lastCr3 & FRAME_MASK),
  );
  const found =
    byCr3 ?? candidates.find((cpu) => suspect.inGuest && cpu.index === suspect.hostCpu && maps(memory, cpu));
  const registers = found === undefined ? undefined : registersOf(found);
  if (found === undefined || registers === undefined) return undefined;
  return {
    cpu: found,
    registers,
    how:
      byCr3 === undefined
        ? `KVM had it on CPU ${found.index}, whose page table ${hex(cr3Of(found) ?? 0n)} is the guest's`
        : `CR3 of CPU ${found.index} is the guest's: ${hex(cr3Of(found) ?? 0n)}`,
  };
}

function cr3Of({ control }: Cpu): bigint | undefined {
  const cr3 = control?.get('cr3');
  return cr3 === undefined ? undefined : cr3 & FRAME_MASK;
}

/** Does the guest's memory have a page table there that maps the code that the CPU ran? */
function maps(memory: PhysicalMemory, cpu: Cpu): boolean {
  const cr3 = cr3Of(cpu);
  const rip = cpu.registers?.get('rip');
  if (cr3 === undefined || rip === undefined) return false;
  const levels = ((cpu.control?.get('cr4') ?? 0n) & CR4_LA57) !== 0n ? 5 : 4;
  try {
    return new X86PageTable(memory, physicalAddress(cr3), levels).translate(virtualAddress(rip)) !== undefined;
  } catch (error) {
    if (!isExhumeError(error)) throw error;
    return false;
  }
}

function registersOf({ registers, control, segments }: Cpu): GuestRegisters | undefined {
  return registers && control && { general: registers, control, segments };
}
